/** How long programs take to work off a topic, what that costs, and how they compare. */
import { until } from "../../test/support/until.ts";
import { median } from "../measure.ts";
import type { BenchBroker } from "./broker.ts";
import { cpuSecondsOf } from "./cpu.ts";
import type { RunningWorker } from "./workers.ts";

/** What one run took, from the group's first assignment to the last output that can be read. */
export interface Drained {
  readonly seconds: number;
  readonly cpuSeconds: number;
  /** The same from when half of the output was there: compilers have done most of their work by then. */
  readonly later: { readonly seconds: number; readonly cpuSeconds: number };
  /** Results that came twice. */
  readonly repeats: number;
}

export const DRAINED_HEADER = `${"".padEnd(26)}${"events/s".padStart(10)}  CPU-s/million   2nd half: events/s  CPU-s/million`;

/** How long a start, and a run, may take. */
const PATIENCE = 120_000;
const LOOK_EVERY = 10;

/** Waits until so many results are in the output. */
export async function drain(
  broker: BenchBroker,
  worker: RunningWorker,
  group: string,
  output: string,
  results: number,
): Promise<Omit<Drained, "repeats">> {
  const options = { timeout: PATIENCE, every: LOOK_EVERY };
  const mark = () => ({ at: performance.now(), cpu: cpuSecondsOf(worker.pid) });
  const reached = (count: number) => async () => worker.trouble !== undefined || (await broker.count(output)) >= count;
  await until("the group has its partitions", async () => worker.trouble !== undefined || (await broker.isStable(group)), options);
  const start = mark();
  await until("half of the output is there", reached(results / 2), options);
  const middle = mark();
  await until("all of the output is there", reached(results), options);
  const end = mark();
  if (worker.trouble !== undefined) throw new Error("it ended too soon");
  const between = (from: typeof start, to: typeof end) => ({ seconds: (to.at - from.at) / 1000, cpuSeconds: to.cpu - from.cpu });
  return { ...between(start, end), later: between(middle, end) };
}

export function medianDrained(runs: readonly Drained[]): Drained {
  const of = (pick: (run: Drained) => number) => median(runs.map(pick));
  return {
    seconds: of((run) => run.seconds),
    cpuSeconds: of((run) => run.cpuSeconds),
    later: { seconds: of((run) => run.later.seconds), cpuSeconds: of((run) => run.later.cpuSeconds) },
    repeats: of((run) => run.repeats),
  };
}

export function drainedLine(name: string, { seconds, cpuSeconds, later, repeats }: Drained, events: number): string {
  const rate = (count: number, time: number) => Math.round(count / time).toLocaleString("en");
  const cpu = (count: number, time: number) => ((time / count) * 1e6).toFixed(2);
  const whole = `${rate(events, seconds).padStart(10)}  ${cpu(events, cpuSeconds).padStart(13)}`;
  const half = `${rate(events / 2, later.seconds).padStart(19)}  ${cpu(events / 2, later.cpuSeconds).padStart(13)}`;
  return `${name.padEnd(26)}${whole}  ${half}${repeats === 0 ? "" : `   ${repeats} repeats`}`;
}

/** What is wanted of one program beside another: its rate at least, its CPU time at most. */
export interface Wanted {
  readonly rate: number;
  readonly cpu?: number | undefined;
}

/** Over the whole run, and over its second half, which leaves out most of what compilers cost (Java's more than Node's). */
export function drainedRatios(ours: Drained, theirs: Drained, wanted: Wanted): string {
  const both = (pick: (run: Drained["later"]) => number, [above, below]: readonly [Drained, Drained]) =>
    [pick(above) / pick(below), pick(above.later) / pick(below.later)].map((ratio) => ratio.toFixed(2)).join(", 2nd half ");
  const rates = `rate ${both(({ seconds }) => seconds, [theirs, ours])} (wanted: at least ${wanted.rate})`;
  const atMost = wanted.cpu === undefined ? "" : ` (wanted: at most ${wanted.cpu})`;
  return `${rates}; CPU ${both(({ cpuSeconds }) => cpuSeconds, [ours, theirs])}${atMost}`;
}
