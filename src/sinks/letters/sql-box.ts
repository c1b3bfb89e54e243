import type { Lease, OpenContext } from "../../contracts.ts";
import type { DeadLetter, LetterBox } from "../../dead-letter.ts";
import { MillraceError, NotReadyError } from "../../errors.ts";
import type { Database } from "../../sql/database.ts";
import { quoted, quotedTable, RowRefusedError } from "../../sql/database.ts";
import { Outage } from "../outage.ts";
import { Queue } from "../queue.ts";
import { LetterRefusedError, writeFitting } from "./fit.ts";
import { createTableText, LETTER_COLUMNS, letterOfRow, rowOf } from "./sql-table.ts";

/** Rows of one statement at most. */
const MOST_ROWS = 100;

/** Dead letters in a table, a row for each; one whose id is there already replaces its row, and what is resolved is deleted. */
export class SqlLetterBox implements LetterBox {
  readonly #lease: Lease<Database>;
  readonly #table: string;
  readonly #outage: Outage;
  readonly #queue = new Queue();
  #closed: Promise<void> | undefined;

  /** @param lease belongs to the box */
  constructor(lease: Lease<Database>, table: string, context: OpenContext) {
    this.#lease = lease;
    this.#table = table;
    this.#outage = new Outage(`dead letters in table ${table}`, context);
  }

  /**
   * Looks whether the table fits. A database that is away is waited for when there is something to write.
   * @throws {MillraceError} when it does not fit, with the statement that makes one that does
   */
  async check(): Promise<void> {
    // With the table's name before it: SQLite takes a name in quotes that is no column for text.
    const columns = LETTER_COLUMNS.map((name) => `l.${quoted(name)}`).join(", ");
    try {
      const table = quotedTable(this.#table);
      await this.#query(`SELECT ${columns} FROM ${table} AS l WHERE 1 = 0`, []);
      // Fails where the id is no unique key.
      await this.#query(`INSERT INTO ${table} ("id") SELECT "id" FROM ${table} WHERE 1 = 0 ON CONFLICT ("id") DO NOTHING`, []);
    } catch (error) {
      if (!(error instanceof NotReadyError)) return;
      const what = `dead letters: ${error.message}. It is made with\n${createTableText(this.#table)}`;
      throw new NotReadyError(what, { cause: error });
    }
  }

  write(letters: readonly DeadLetter[], signal: AbortSignal): Promise<void> {
    return this.#queue.run(signal, async () => {
      // A statement can't replace the same row twice.
      const latest = [...new Map(letters.map((letter) => [letter.id, letter])).values()];
      for (let at = 0; at < latest.length; at += MOST_ROWS) await this.#writeSome(latest.slice(at, at + MOST_ROWS), signal);
    });
  }

  async *read(task: string, signal: AbortSignal): AsyncGenerator<DeadLetter> {
    const order = `ORDER BY "first", "id" LIMIT ${MOST_ROWS}`;
    const from = `SELECT ${LETTER_COLUMNS.map(quoted).join(", ")} FROM ${quotedTable(this.#table)} WHERE "task" = ${this.#placeholder(1)}`;
    const behind = `AND ("first" > ${this.#placeholder(2)} OR ("first" = ${this.#placeholder(2)} AND "id" > ${this.#placeholder(3)}))`;
    for (let last: readonly string[] = []; ;) {
      const text = `${from} ${last.length === 0 ? "" : behind} ${order}`;
      const rows = await this.#outage.waitOut(signal, () => this.#query(text, [task, ...last]));
      for (const row of rows) {
        const letter = letterOfRow(row);
        if (letter === undefined)
          throw new MillraceError(`a row of the table ${this.#table} is no dead letter: its column "place" can't be read`);
        last = [cellText(row["first"]), cellText(row["id"])];
        yield letter;
      }
      if (rows.length < MOST_ROWS) return;
    }
  }

  resolve(task: string, ids: readonly string[], signal: AbortSignal): Promise<void> {
    return this.#queue.run(signal, async () => {
      for (let at = 0; at < ids.length; at += MOST_ROWS) {
        const some = ids.slice(at, at + MOST_ROWS);
        const places = some.map((_, index) => this.#placeholder(index + 2)).join(", ");
        const text = `DELETE FROM ${quotedTable(this.#table)} WHERE "task" = ${this.#placeholder(1)} AND "id" IN (${places})`;
        await this.#outage.waitOut(signal, () => this.#query(text, [task, ...some]));
      }
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#queue.idle().then(() => this.#lease[Symbol.asyncDispose]());
    return this.#closed;
  }

  /** All in one statement; where that is refused, each by itself, with as much of it as is taken. */
  async #writeSome(letters: readonly DeadLetter[], signal: AbortSignal): Promise<void> {
    try {
      await this.#insert(letters, signal);
    } catch (error) {
      if (!(error instanceof LetterRefusedError)) throw error;
      for (const letter of letters) await writeFitting(letter, (less) => this.#insert([less], signal));
    }
  }

  async #insert(letters: readonly DeadLetter[], signal: AbortSignal): Promise<void> {
    const statement = { table: this.#table, columns: LETTER_COLUMNS, rows: letters.map(rowOf), key: ["id"], repeats: "replaced" } as const;
    try {
      await this.#outage.waitOut(signal, () => this.#lease.resource.write(statement));
    } catch (error) {
      if (!(error instanceof RowRefusedError)) throw error;
      throw new LetterRefusedError(`the table ${this.#table} refuses it: ${error.message}`, { cause: error });
    }
  }

  #query(text: string, values: readonly string[]): Promise<readonly Readonly<Record<string, unknown>>[]> {
    return this.#lease.resource.query(this.#table, text, values);
  }

  #placeholder(index: number): string {
    return this.#lease.resource.placeholder(index);
  }
}

function cellText(cell: unknown): string {
  return cell instanceof Date ? cell.toISOString() : String(cell);
}
