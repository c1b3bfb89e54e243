/** `dlq list`, `dlq show` and `dlq drop`. */
import { isUtf8 } from "node:buffer";

import { placeOf } from "../../batch.ts";
import type { DeadLetter } from "../../dead-letter.ts";
import { UsageError } from "../../errors.ts";
import { lineOf } from "../../sinks/letters/line.ts";
import { EXIT } from "../exit-codes.ts";
import type { Surroundings } from "../surroundings.ts";
import { alignColumns } from "../table.ts";
import { chosen, isFiltered, type LetterFlags } from "./flags.ts";
import { withLetters } from "./open-box.ts";

/** How much of a message a line of the table has, in characters. */
const SHORT = 60;
/** Rows whose columns are aligned together. */
const TOGETHER = 1000;
/** Letters that are taken away together. */
const DROPPED_TOGETHER = 500;

/** `millrace dlq list`. */
export async function list(flags: LetterFlags & { readonly json?: true }, surroundings: Surroundings): Promise<number> {
  return await withLetters(flags, surroundings, async ({ task, box, context }) => {
    let rows = [["ID", "STEP", "ERROR", "ATTEMPTS", "LAST", "ORIGIN", "MESSAGE"]];
    let count = 0;
    for await (const letter of chosen(box.read(task.id, context.signal), flags)) {
      count += 1;
      if (flags.json === true) {
        surroundings.out(`${lineOf(letter)}\n`);
        continue;
      }
      rows.push(rowOf(letter));
      if (rows.length < TOGETHER) continue;
      surroundings.out(alignColumns(rows));
      rows = [];
    }
    if (flags.json !== true) surroundings.out(count === 0 ? "There are no dead letters.\n" : alignColumns(rows));
    return EXIT.done;
  });
}

function rowOf({ id, step, error, attempts, lastFailure, origin, offset, message }: DeadLetter): string[] {
  const firstLine = message.split("\n", 1)[0] ?? "";
  const short = firstLine.length > SHORT ? `${firstLine.slice(0, SHORT)}…` : firstLine;
  return [id, step, error, String(attempts), timeText(lastFailure), placeOf(origin, offset), short];
}

/** `millrace dlq show`: a letter, whole. */
export async function show(id: string, flags: LetterFlags, surroundings: Surroundings): Promise<number> {
  return await withLetters(flags, surroundings, async ({ task, box, context }) => {
    const [letter] = await Array.fromAsync(chosen(box.read(task.id, context.signal), { ...flags, id: [id] }));
    if (letter === undefined)
      throw new UsageError(`task "${task.id}" has no dead letter "${id}". \`millrace dlq list --task …\` shows all`);
    surroundings.out(wholeText(letter));
    return EXIT.done;
  });
}

/** `millrace dlq drop`: takes letters away for good. */
export async function drop(flags: LetterFlags & { readonly all?: true }, surroundings: Surroundings): Promise<number> {
  if (!isFiltered(flags) && flags.all !== true)
    throw new UsageError("which letters? Choose with --id, --step, --error, --since or --until, or give --all");
  return await withLetters(flags, surroundings, async ({ task, box, context }) => {
    const ids = (await Array.fromAsync(chosen(box.read(task.id, context.signal), flags), ({ id }) => id)) as readonly string[];
    for (let at = 0; at < ids.length; at += DROPPED_TOGETHER)
      await box.resolve(task.id, ids.slice(at, at + DROPPED_TOGETHER), context.signal);
    surroundings.out(`${task.id}: ${ids.length === 1 ? "1 dead letter" : `${ids.length} dead letters`} dropped\n`);
    return EXIT.done;
  });
}

function wholeText(letter: DeadLetter): string {
  const { origin, offset, value, headers = [], leftOut } = letter;
  const fields = [
    ["id", letter.id],
    ["task", letter.task],
    ["product", letter.product],
    ["step", letter.step],
    ["origin", placeOf(origin, offset)],
    ["error", letter.error],
    ["attempts", String(letter.attempts)],
    ["first", timeText(letter.firstFailure)],
    ["last", timeText(letter.lastFailure)],
    ["version", letter.version],
    ["holds", letter.holds === "record" ? "the record as it was read" : "the event at that step, as JSON"],
    ["key", letter.key ?? "-"],
    ["time", timeText(letter.time)],
    ...headers.map(([name, part]) => ["header", `${name}: ${typeof part === "string" ? part : bytesText(part)}`]),
  ];
  const size = leftOut === undefined ? (value === null ? "null" : `${value.length} bytes`) : `${leftOut} bytes, left out`;
  const shown = value === null || value.length === 0 ? "" : `\n${bytesText(value)}`;
  return `${alignColumns(fields)}message:\n${letter.message}\n${letter.stack === undefined ? "" : `stack:\n${letter.stack}\n`}value (${size}):${shown}\n`;
}

/** UTF-8 as text, other bytes as hex. */
function bytesText(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString(isUtf8(bytes) ? "utf8" : "hex");
}

function timeText(ms: number): string {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? "-" : date.toISOString();
}
