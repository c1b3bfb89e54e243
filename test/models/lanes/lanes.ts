import type { TestContext } from "node:test";

import { systemClock } from "../../../src/clock.ts";
import { SILENT } from "../../../src/contracts.ts";
import type { DispatcherOptions } from "../../../src/models/lanes/dispatcher.ts";
import { Dispatcher } from "../../../src/models/lanes/dispatcher.ts";
import type { HostedEntry } from "../../../src/models/lanes/hosted-entry.ts";
import type { EntrySpec } from "../../../src/models/lanes/messages.ts";
import { processProgram } from "../../../src/models/lanes/process-program.ts";
import type { LaneProgram } from "../../../src/models/lanes/program.ts";
import { ThreadPool } from "../../../src/models/lanes/thread-pool.ts";
import { threadProgram } from "../../../src/models/lanes/thread-program.ts";
import type { Told } from "./modules/behave.ts";

export const BEHAVE = import.meta.resolve("./modules/behave.ts");

export type Noun = LaneProgram["noun"];

/** Both kinds of lane: whatever holds for one holds for the other. */
export const NOUNS: readonly Noun[] = ["thread", "process"];

/** What `openLanes` can be told. */
export interface LanesOptions extends Partial<Omit<DispatcherOptions, "program">> {
  readonly memoryLimitMb?: number;
  readonly pool?: ThreadPool;
}

/** A dispatcher over one lane of that kind, unless more are asked for; closed when the test ends. */
export function openLanes(t: TestContext, noun: Noun, options: LanesOptions = {}): Dispatcher {
  const { memoryLimitMb, pool = new ThreadPool(8), ...rest } = options;
  const program = noun === "thread" ? threadProgram(pool, memoryLimitMb) : processProgram(memoryLimitMb);
  const dispatcher = new Dispatcher({ program, lanes: 1, maxInFlight: 8, clock: systemClock, logger: SILENT, ...rest });
  t.after(async () => {
    await dispatcher[Symbol.asyncDispose]();
    if (options.pool === undefined) await pool[Symbol.asyncDispose]();
  });
  return dispatcher;
}

/** A function or model of modules/behave.ts in such a lane. */
export async function behaving(
  t: TestContext,
  noun: Noun,
  options: LanesOptions = {},
  spec: Partial<EntrySpec> = {},
): Promise<{
  readonly entry: HostedEntry;
  readonly tell: (told: Told, call?: { signal?: AbortSignal; within?: number }) => Promise<unknown>;
}> {
  const entry = await openLanes(t, noun, options).host({ kind: "each", exportName: "behave", url: BEHAVE, ...spec });
  const never = new AbortController().signal;
  const tell = (told: Told, { signal = never, within }: { signal?: AbortSignal; within?: number } = {}) =>
    entry.run(told, { signal, until: within === undefined ? Number.POSITIVE_INFINITY : systemClock.elapsed() + within });
  return { entry, tell };
}
