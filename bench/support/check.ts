/** Whether a job's output is what it must be. Read by hand, not by Millrace. */
import { Fetching } from "./fetching.ts";
import type { Expected } from "./input.ts";

interface Output {
  readonly dateTime?: number;
  readonly price?: number;
  readonly key?: string;
  readonly start?: number;
  readonly count?: number;
}

/** @returns how many results there are more than there must be. @throws when one is missing, wrong or out of order */
export async function checkOutput(brokers: string, topic: string, ends: readonly number[], job: "change" | "count", expected: Expected) {
  return job === "change" ? await checkChange(brokers, topic, ends, expected) : await checkCount(brokers, topic, ends, expected);
}

/** Bids were in order of time in each partition of the input, and keys keep their partition. */
async function checkChange(brokers: string, topic: string, ends: readonly number[], expected: Expected): Promise<number> {
  const last: number[] = [];
  let sum = 0;
  let events = 0;
  let backwards = 0;
  await readAll(brokers, topic, ends, ({ dateTime = 0, price = 0 }, partition) => {
    if (dateTime < (last[partition] ?? 0)) backwards++;
    last[partition] = dateTime;
    sum += price;
    events++;
  });
  const repeats = events - expected.events;
  if (repeats < 0) throw new Error(`${-repeats} of ${expected.events} events are missing`);
  if (repeats > 0) return repeats;
  if (Math.abs(sum / expected.priceSum - 1) > 1e-9) throw new Error(`the prices add up to ${sum}, not to ${expected.priceSum}`);
  if (backwards > 0) throw new Error(`${backwards} events are out of order`);
  return 0;
}

async function checkCount(brokers: string, topic: string, ends: readonly number[], { counts }: Expected): Promise<number> {
  const seen = new Set<string>();
  let results = 0;
  await readAll(brokers, topic, ends, ({ key, start, count }) => {
    const window = `${key}@${start}`;
    if (counts.get(window) !== count) throw new Error(`the count of ${window} is ${count}, not ${counts.get(window)}`);
    seen.add(window);
    results++;
  });
  if (seen.size < counts.size) throw new Error(`${counts.size - seen.size} of ${counts.size} counts are missing`);
  return results - seen.size;
}

async function readAll(brokers: string, topic: string, ends: readonly number[], take: (output: Output, partition: number) => void) {
  const starts = new Map(ends.flatMap((end, partition) => (end > 0 ? [[partition, 0] as const] : [])));
  await using fetching = new Fetching(brokers.split(","), topic, starts);
  await fetching.open();
  let left = ends.reduce((sum, end) => sum + end, 0);
  while (left > 0) {
    const records = await fetching.fetch();
    if (records.length === 0) throw new Error(`${left} records of ${topic} can't be read`);
    for (const { partition, value } of records) take(JSON.parse(value.toString()) as Output, partition);
    left -= records.length;
  }
}
