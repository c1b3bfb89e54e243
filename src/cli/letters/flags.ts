/** The flags of `dlq`, and which letters they mean. */
import type { DeadLetter } from "../../dead-letter.ts";
import { parseDuration } from "../../duration.ts";
import { UsageError } from "../../errors.ts";
import type { SettingsFlags } from "../settings-flags.ts";

/** Which letters. */
export interface LetterFlags extends SettingsFlags {
  readonly task: string;
  readonly sink?: string;
  readonly step?: string;
  readonly error?: string;
  readonly since?: string;
  readonly until?: string;
  readonly id?: readonly string[];
  readonly limit?: number;
}

/** Whether any flag chooses among the letters. */
export function isFiltered({ step, error, since, until, id }: LetterFlags): boolean {
  return [step, error, since, until, id].some((flag) => flag !== undefined);
}

/**
 * The letters that the flags mean, at most `limit` of them.
 * @throws {UsageError} when a time is none
 */
export async function* chosen(letters: AsyncIterable<DeadLetter>, flags: LetterFlags): AsyncGenerator<DeadLetter> {
  const { step, error, limit = Number.POSITIVE_INFINITY } = flags;
  const since = timeOf(flags.since, "--since") ?? Number.NEGATIVE_INFINITY;
  const until = timeOf(flags.until, "--until") ?? Number.POSITIVE_INFINITY;
  const ids = flags.id === undefined ? undefined : new Set(flags.id);
  let given = 0;
  for await (const letter of letters) {
    if (step !== undefined && letter.step !== step) continue;
    if (error !== undefined && letter.error !== error) continue;
    if (letter.lastFailure < since || letter.lastFailure > until) continue;
    if (ids !== undefined && !ids.has(letter.id)) continue;
    yield letter;
    given += 1;
    if (given >= limit || given === ids?.size) return;
  }
}

/** Milliseconds since the epoch of a time, or of so long ago. */
function timeOf(text: string | undefined, flag: string): number | undefined {
  if (text === undefined) return undefined;
  const ago = parseDuration(text);
  const time = ago === undefined ? Date.parse(text) : Date.now() - ago;
  if (Number.isNaN(time)) throw new UsageError(`${flag}: "${text}" is no time: give one as 2026-11-24T20:00:00Z, or how long ago, as 2h`);
  return time;
}
