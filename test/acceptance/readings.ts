import { readWindow } from "../faults/readers.ts";
/** Records with event times for the tests of windows under faults, and what must come of them. */
import { type FaultRecord, recordText } from "../faults/record.ts";
import { compareWindows, type WindowFigures, type WindowFound } from "../faults/window-checker.ts";
import { readAll } from "../support/kafka-topics.ts";
import type { KeyedText } from "../support/kcat.ts";

/** Length of the windows of the product `fault-windows`, in milliseconds. */
export const WINDOW = 10_000;
const KEYS = 50;
const BEGIN = Date.UTC(2026, 0, 1);
/** Event time between two records, in milliseconds. */
const STEP = 4;
const HOUR = 3_600_000;

/** The `n`th reading. Every twentieth is dropped by a filter. */
export function reading(n: number): FaultRecord {
  return { run: "readings", key: `k${(n * 7919) % KEYS}`, seq: n, at: BEGIN + n * STEP, fate: n % 20 === 13 ? "filter" : "keep" };
}

/** As records with their keys. */
export function keyedReading(n: number): KeyedText {
  const record = reading(n);
  return { key: record.key, text: recordText(record) };
}

/** A record that ends all windows of the first `count` readings; each partition needs one. */
export function tickAfter(count: number): KeyedText {
  return { key: "", text: recordText({ run: "readings", key: "", seq: 0, at: BEGIN + count * STEP + HOUR, fate: "tick" }) };
}

/** How many windows the first `count` readings make. */
export function windowCount(count: number): number {
  const places = new Set<string>();
  for (const { key, at } of kept([[0, count]])) places.add(`${key}@${Math.floor(at / WINDOW)}`);
  return places.size;
}

/** Readings from one number to before another. */
export type Span = readonly [first: number, end: number];

/** Compares what was found with what follows from the first `count` readings alone, or from some spans of them. */
export function judgeWindows(
  given: number | readonly Span[],
  found: readonly (WindowFound | undefined)[],
): { readonly figures: WindowFigures; readonly examples: readonly string[] } {
  const examples: string[] = [];
  const spans: readonly Span[] = typeof given === "number" ? [[0, given]] : given;
  const figures = compareWindows([...kept(spans)], found, WINDOW, (text) => {
    if (examples.length < 10) examples.push(text);
  });
  return { figures, examples };
}

/** The results in a topic, with their ids. */
export async function windowsInTopic(address: string, topic: string): Promise<readonly (WindowFound | undefined)[]> {
  return (await readAll(address, topic)).map(({ payload, headers = [] }) => {
    const at = headers.findIndex((name, index) => index % 2 === 0 && name === "millrace-id");
    return withId(payload ?? "", at === -1 ? undefined : headers[at + 1]);
  });
}

/** A result with its id. */
export function withId(text: string, id: string | undefined): WindowFound | undefined {
  const window = readWindow(text);
  return window && { ...window, id };
}

function* kept(spans: readonly Span[]): Generator<FaultRecord> {
  for (const [first, end] of spans) {
    for (let n = first; n < end; n++) {
      const record = reading(n);
      if (record.fate === "keep") yield record;
    }
  }
}
