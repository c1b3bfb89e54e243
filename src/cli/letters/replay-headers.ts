import type { EventHeaders } from "../../batch.ts";
import type { DeadLetter } from "../../dead-letter.ts";

const MARKS: ReadonlySet<string> = new Set(["millrace-replay", "millrace-attempts", "millrace-first"]);

/** The letter's headers and the marks of a replay, by which a second failure takes the place of the first. `millrace-first` in ms. */
export function replayHeaders({ id, attempts, firstFailure, headers = [] }: DeadLetter): EventHeaders {
  return [
    ...headers.filter(([name]) => !MARKS.has(name.toLowerCase())),
    ["millrace-replay", id],
    ["millrace-attempts", String(attempts)],
    ["millrace-first", String(firstFailure)],
  ];
}
