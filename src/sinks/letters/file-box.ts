import type { FileHandle } from "node:fs/promises";

import type { OpenContext } from "../../contracts.ts";
import type { DeadLetter, LetterBox } from "../../dead-letter.ts";
import { InfrastructureError, messageOf } from "../../errors.ts";
import { openForAppending } from "../appended-file.ts";
import { Outage } from "../outage.ts";
import { Queue } from "../queue.ts";
import { lineOf, parseLine, resolvingLine } from "./line.ts";

const NEWLINE = 10;
const CHUNK = 1_048_576;

/**
 * Dead letters in a file, a line of JSON for each, forced to the disk before it counts as kept. What is resolved stays in the
 * file, with a line behind it that says so; of lines with the same id the last one counts. Several processes may append.
 * A line that can't be read, such as the half that a crash left, is passed over with a warning.
 */
export class FileLetterBox implements LetterBox {
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #context: OpenContext;
  readonly #outage: Outage;
  readonly #queue = new Queue();
  #closed: Promise<void> | undefined;

  /** @throws {MillraceError} when the file can never be written */
  static async open(path: string, context: OpenContext): Promise<FileLetterBox> {
    return new FileLetterBox(await openForAppending(path, context), path, context);
  }

  private constructor(file: FileHandle, path: string, context: OpenContext) {
    this.#file = file;
    this.#path = path;
    this.#context = context;
    this.#outage = new Outage(`dead letters in file ${path}`, context);
  }

  write(letters: readonly DeadLetter[], signal: AbortSignal): Promise<void> {
    return this.#append(letters.map(lineOf), signal);
  }

  resolve(task: string, ids: readonly string[], signal: AbortSignal): Promise<void> {
    return this.#append(
      ids.map((id) => resolvingLine(task, id)),
      signal,
    );
  }

  async *read(task: string, signal: AbortSignal): AsyncGenerator<DeadLetter> {
    const { size } = await this.#file.stat();
    /** Where the line is that counts, by id. */
    const counts = new Map<string, number>();
    let broken = 0;
    for await (const [at, line] of this.#lines(size, signal)) {
      const parsed = parseLine(line);
      if (parsed === undefined) broken += 1;
      else if ("letter" in parsed) {
        // Anew at the end: the order is that of the last failures.
        if (parsed.letter.task === task) counts.delete(parsed.letter.id);
        if (parsed.letter.task === task) counts.set(parsed.letter.id, at);
      } else if (parsed.task === task) counts.delete(parsed.resolved);
    }
    if (broken > 0) this.#context.logger.warn({ path: this.#path, lines: broken }, "lines of the file are no dead letters; passed over");
    if (counts.size === 0) return;
    for await (const [at, line] of this.#lines(size, signal)) {
      const parsed = parseLine(line);
      if (parsed !== undefined && "letter" in parsed && parsed.letter.task === task && counts.get(parsed.letter.id) === at)
        yield parsed.letter;
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#queue.idle().then(() => this.#file.close());
    return this.#closed;
  }

  #append(lines: readonly string[], signal: AbortSignal): Promise<void> {
    return this.#queue.run(signal, async () => {
      if (lines.length === 0) return;
      await this.#outage.waitOut(signal, async () => {
        try {
          await this.#appendOnce(Buffer.from(`${lines.join("\n")}\n`));
        } catch (error) {
          throw new InfrastructureError(`writing dead letters to ${this.#path} failed: ${messageOf(error)}`, { cause: error });
        }
      });
    });
  }

  /** In one piece. What a failed attempt left is ended by a line end: a whole line behind it stays whole. */
  async #appendOnce(bytes: Buffer): Promise<void> {
    const { size } = await this.#file.stat();
    const last = Buffer.alloc(1);
    if (size > 0) await this.#file.read(last, 0, 1, size - 1);
    const piece = size === 0 || last[0] === NEWLINE ? bytes : Buffer.concat([Buffer.of(NEWLINE), bytes]);
    const { bytesWritten } = await this.#file.write(piece);
    if (bytesWritten < piece.length) throw new Error(`only ${bytesWritten} of ${piece.length} bytes were written`);
    await this.#file.datasync();
  }

  /** The whole lines before `end` that are not empty, each with where it begins. */
  async *#lines(end: number, signal: AbortSignal): AsyncGenerator<readonly [at: number, line: string]> {
    const chunk = Buffer.alloc(CHUNK);
    let rest: Buffer = Buffer.alloc(0);
    let at = 0;
    for (let position = 0; position < end;) {
      signal.throwIfAborted();
      const { bytesRead } = await this.#file.read(chunk, 0, Math.min(CHUNK, end - position), position);
      if (bytesRead === 0) return;
      position += bytesRead;
      let text = Buffer.concat([rest, chunk.subarray(0, bytesRead)]);
      for (let newline = text.indexOf(NEWLINE); newline !== -1; newline = text.indexOf(NEWLINE)) {
        if (newline > 0) yield [at, text.toString("utf8", 0, newline)];
        at += newline + 1;
        text = text.subarray(newline + 1);
      }
      rest = text;
    }
  }
}
