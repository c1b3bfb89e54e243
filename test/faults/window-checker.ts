/** Compares the results of tumbling windows with those computed directly from the input. */
import type { FaultRecord } from "./record.ts";

/** A result as a reader found it. Times in milliseconds since the epoch. */
export interface WindowFound {
  readonly key: string;
  readonly start: number;
  readonly end: number;
  readonly count: number;
  /** The sum of `seq` over its records. */
  readonly sum: number;
  /** The result's own id, where the pipeline gives one. */
  readonly id?: string | undefined;
}

/** What became of the windows of a run. */
export interface WindowFigures {
  readonly windows: number;
  readonly windowErrors: number;
  readonly windowRepeats: number;
}

/** Each window must be there as it follows from the records; once, but for repeats that are equal in everything. */
export function compareWindows(
  records: readonly FaultRecord[],
  found: readonly (WindowFound | undefined)[],
  length: number,
  example: (text: string) => void,
): WindowFigures {
  const expected = windowsOf(records, length);
  const seen = new Map<string, WindowFound>();
  const ids = new Map<string, string>();
  let [windowErrors, windowRepeats] = [0, 0];
  const wrong = (text: string): void => {
    windowErrors++;
    example(text);
  };
  for (const result of found) {
    if (result === undefined) {
      wrong("a text that is no result of a window");
      continue;
    }
    const place = placeOf(result);
    const before = seen.get(place);
    seen.set(place, result);
    // A repeat with another id could not be removed, and two windows with one id would be taken for one.
    const named = result.id === undefined ? undefined : ids.get(result.id);
    if (before === undefined ? named !== undefined : before.id !== result.id)
      wrong(`window ${place} has the id ${result.id}, and should not`);
    if (result.id !== undefined) ids.set(result.id, place);
    if (before !== undefined) windowRepeats++;
    const should = expected.get(place);
    if (should === undefined) wrong(`a window that should not be: ${JSON.stringify(result)}`);
    else if (!isEqual(result, should)) wrong(`window ${place} has ${JSON.stringify(result)}, not ${JSON.stringify(should)}`);
  }
  for (const place of expected.keys()) if (!seen.has(place)) wrong(`missing: window ${place}`);
  return { windows: seen.size, windowErrors, windowRepeats };
}

function windowsOf(records: readonly FaultRecord[], length: number): ReadonlyMap<string, WindowFound> {
  const windows = new Map<string, { key: string; start: number; end: number; count: number; sum: number }>();
  for (const { key, seq, at } of records) {
    const start = Math.floor(at / length) * length;
    const place = `${key}@${start}`;
    const window = windows.get(place) ?? { key, start, end: start + length, count: 0, sum: 0 };
    window.count++;
    window.sum += seq;
    windows.set(place, window);
  }
  return windows;
}

function placeOf({ key, start }: WindowFound): string {
  return `${key}@${start}`;
}

function isEqual(a: WindowFound, b: WindowFound): boolean {
  return a.end === b.end && a.count === b.count && a.sum === b.sum;
}
