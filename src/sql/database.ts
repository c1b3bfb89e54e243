/** A database that rows are written to. Two kinds: PostgreSQL and SQLite. */
export interface Database extends AsyncDisposable {
  /**
   * Looks whether the table is there and can be seen.
   * @throws {NotReadyError} when it is not; {InfrastructureError} when the database is away or busy
   */
  check(table: string): Promise<void>;
  /**
   * Writes rows with one statement, all or none.
   * @throws {InfrastructureError} when the database is away or busy; {NotReadyError} when the table is missing;
   *   {RowRefusedError} when it does not take one of the rows
   */
  write(statement: Statement): Promise<void>;
  /**
   * Runs a statement about a table, with values for its placeholders.
   * @returns the rows that it gives
   * @throws as `write` does
   */
  query(table: string, text: string, values: readonly SqlValue[]): Promise<readonly Readonly<Record<string, unknown>>[]>;
  /** The placeholder of the value with that number, from 1. */
  placeholder(index: number): string;
  /** The most parameters of one statement. */
  readonly maxParameters: number;
}

/** Rows for a table. */
export interface Statement {
  /** `table` or `schema.table`, unquoted. */
  readonly table: string;
  readonly columns: readonly string[];
  /** One value for each column; undefined for what the database gives a column that is left out, only where rows are inserted. */
  readonly rows: readonly (readonly (SqlValue | undefined)[])[];
  /** Columns of the unique key by which a row is there already; undefined: rows are inserted only. */
  readonly key: readonly string[] | undefined;
  /** What becomes of a row whose key is there already; `replaced` allows each key once in a statement. */
  readonly repeats: "replaced" | "left out";
}

export type SqlValue = string | number | bigint | boolean | null | Uint8Array;

/** The database refuses a row for what is in it. */
export class RowRefusedError extends Error {
  override readonly name = "RowRefusedError";
}

/** `INSERT` text with a placeholder for each value that is given, row by row; names are quoted. */
export function insertText(statement: Statement, placeholder: (index: number) => string): string {
  const { table, columns, rows } = statement;
  let index = 0;
  const values = rows.map((row) => `(${row.map((value) => (value === undefined ? "DEFAULT" : placeholder(++index))).join(",")})`).join(",");
  return `INSERT INTO ${quotedTable(table)} (${columns.map(quoted).join(",")}) VALUES ${values}${onConflict(statement)}`;
}

/** The values of a statement that are given, in the order of its placeholders. */
export function givenValues({ rows }: Statement): SqlValue[] {
  return rows.flat().filter((value) => value !== undefined);
}

/** A statement that reads nothing, and fails when the table is missing. */
export function checkText(table: string): string {
  return `SELECT 1 FROM ${quotedTable(table)} LIMIT 0`;
}

function onConflict({ columns, key, repeats }: Statement): string {
  if (key === undefined) return "";
  const others = columns.filter((column) => !key.includes(column));
  const target = `ON CONFLICT (${key.map(quoted).join(",")})`;
  if (others.length === 0 || repeats === "left out") return ` ${target} DO NOTHING`;
  return ` ${target} DO UPDATE SET ${others.map((column) => `${quoted(column)} = excluded.${quoted(column)}`).join(", ")}`;
}

/** The name of a table (`table` or `schema.table`) as statements have it. */
export function quotedTable(table: string): string {
  return table.split(".").map(quoted).join(".");
}

/** A name as statements have it. */
export function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}
