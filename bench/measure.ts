import type { OpenContext } from "../src/contracts.ts";
import { bareContext } from "../test/support/bare-context.ts";

/** What one run took. */
export interface Timing<R> {
  readonly result: R;
  readonly seconds: number;
  /** User and system time of this process. */
  readonly cpuSeconds: number;
}

export async function timed<R>(run: () => Promise<R>): Promise<Timing<R>> {
  const cpu = process.cpuUsage();
  const start = performance.now();
  const result = await run();
  const seconds = (performance.now() - start) / 1000;
  const used = process.cpuUsage(cpu);
  return { result, seconds, cpuSeconds: (used.user + used.system) / 1e6 };
}

export function row(name: string, events: number, timing: Timing<unknown>): string {
  const rate = Math.round(events / timing.seconds).toLocaleString("en");
  const cpu = ((timing.cpuSeconds / events) * 1e6).toFixed(2);
  return `${name.padEnd(24)} ${rate.padStart(12)} events/s   ${cpu.padStart(6)} CPU-s per million   ${timing.seconds.toFixed(2).padStart(7)} s`;
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
}

/** A context for pipelines that a benchmark runs in its own process. */
export function benchContext(over: Partial<OpenContext> = {}): OpenContext {
  return bareContext({ task: { id: "bench", product: "bench", instance: 0, instances: 1 }, ...over });
}
