/**
 * `millrace/testing`: runs a pipeline on given events, with a virtual clock, and tells what each sink received.
 *
 * @example
 * const plan = planOf(product, { input: { generator: {} }, output: { file: { path: "-" } } });
 * const { values } = await runPipeline(plan, [{ value: { at: 1_000, celsius: 21 }, key: "a" }]);
 * assert.deepEqual(values, [{ key: "a", start: 0, end: 10_000, count: 1, value: 21 }]);
 */
import type { z } from "zod";

import type { Batch, Event, EventHeaders, Origin, Position } from "./batch.ts";
import { END_OF_INPUT, NO_WATERMARK } from "./batch.ts";
import type { Counters, OpenContext, Partition, Sink, SinkSpec, Source } from "./contracts.ts";
import { SILENT } from "./contracts.ts";
import type { DeadLetter, LetterBox } from "./dead-letter.ts";
import type { Duration } from "./duration.ts";
import { milliseconds } from "./duration.ts";
import { createInstance } from "./pipeline/instance.ts";
import type { Plan } from "./pipeline/plan.ts";
import type { Product } from "./product.ts";
import { openSharedResources } from "./shared-resources.ts";
import { VirtualClock } from "./virtual-clock.ts";

export { VirtualClock } from "./virtual-clock.ts";

/** An event given to a pipeline: what is left out is as a source without it would give it. */
export interface TestEvent {
  readonly value: unknown;
  readonly key?: string;
  /** Milliseconds since the epoch. */
  readonly time?: number;
  readonly headers?: EventHeaders;
}

/** Time that goes by between two events. Made by `advance`. */
export interface Advance {
  readonly advance: number;
}

/** Lets the clock go on before the next event comes. */
export function advance(time: Duration): Advance {
  return { advance: milliseconds(time, "advance") };
}

/** How `runPipeline` feeds its events. */
export interface RunOptions {
  /** Where the clock begins, in milliseconds since the epoch; default 0. */
  readonly start?: number;
  /** Events per batch, cut at each `advance` as well; default all in one. Results of windows never depend on it. */
  readonly batchSize?: number;
  /** `end` (default): the input is finite, so what is open at its end is given. `stop`: a planned stop, which leaves it open. */
  readonly ending?: "end" | "stop";
}

/** What came of it. */
export interface TestRun<Out = unknown> {
  /** The values that the first sink received, in order. */
  readonly values: readonly Out[];
  /** The events that each of the plan's sinks received, in the plan's order. */
  readonly sinks: readonly (readonly Event<Out>[])[];
  /** The events that side sinks (late sinks) received, by the step's name. */
  readonly sides: Readonly<Record<string, readonly Event[]>>;
  /** What went to the box for dead letters, in order. */
  readonly letters: readonly DeadLetter[];
  readonly counters: Readonly<Counters>;
  /** How many of the given events need not be read again. */
  readonly position: Position;
}

/**
 * Runs a plan on given events in the place of its source and sinks, with a virtual clock that goes on by `advance` only;
 * where the pipeline waits for a timer and has room for no more input, or has all of it, the clock jumps there after a
 * moment, so that back-off costs no time. A call with a timeout gets its real time, but at most about a second.
 * Rejects with the error that ended the pipeline.
 */
export async function runPipeline<Out = unknown>(
  plan: Plan,
  input: readonly (TestEvent | Advance)[],
  options: RunOptions = {},
): Promise<TestRun<Out>> {
  const clock = new VirtualClock(options.start ?? 0);
  const source = new ScriptedSource(input, clock, options);
  const collected = new Map<SinkSpec, Event[]>();
  const letters: DeadLetter[] = [];
  const instance = createInstance(plan, testContext(clock), {
    openSource: () => Promise.resolve(source),
    openSink: (spec) => Promise.resolve(collector(spec, collected)),
    openLetters: () => Promise.resolve(letterCollector(letters)),
  });
  const running = instance.run(new AbortController().signal);
  await jumpWhileWaiting(running, clock, source);
  await running;
  const sinks = plan.sinks.map((spec) => (collected.get(spec) ?? []) as Event<Out>[]);
  const sides: Record<string, readonly Event[]> = {};
  for (const step of plan.steps) if (step.side !== undefined) sides[step.name] = collected.get(step.side) ?? [];
  const values = (sinks[0] ?? []).map((event) => event.value);
  return { values, sinks, sides, letters, counters: instance.counters, position: source.position };
}

/**
 * The plan of a product for a config, as a task would have it.
 * @throws what the product's schema or its `pipeline` throws
 */
export function planOf<Schema extends z.ZodType>(product: Product<Schema>, config: z.input<Schema>): Plan {
  return product.pipeline({
    config: product.config.parse(config),
    task: { id: "test", product: product.name, instance: 0, instances: 1 },
    logger: SILENT,
    signal: new AbortController().signal,
  });
}

function testContext(clock: VirtualClock): OpenContext {
  return {
    task: { id: "test", product: "test", instance: 0, instances: 1 },
    connections: {
      kafka: { brokers: [], client: "platformatic", ssl: false, sasl: undefined },
      nats: { servers: [], credentials: undefined },
      redis: { url: "" },
    },
    shared: openSharedResources(),
    logger: SILENT,
    clock,
    signal: new AbortController().signal,
    // Back-off takes all of its time.
    random: () => 1,
    mode: "run",
    waiting: () => undefined,
  };
}

function collector(spec: SinkSpec, collected: Map<SinkSpec, Event[]>): Sink {
  const events: Event[] = [];
  collected.set(spec, events);
  return {
    write: (written) => {
      for (const event of written) events.push(event);
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function letterCollector(letters: DeadLetter[]): LetterBox {
  return {
    write: (written) => {
      letters.push(...written);
      return Promise.resolve();
    },
    async *read() {
      yield* letters;
    },
    resolve: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

/** How often to look whether the pipeline waits for a timer, in real milliseconds. */
const LOOK = 1;
/** For how many looks nothing must have happened, at the end of the input and before it: there the pipeline may just be busy. */
const QUIET_AT_END = 30;
const QUIET_BEFORE = 100;
/** While a call with a timeout is under way it may be at real work, so it gets its time, but at most so many looks. */
const QUIET_CALL = 1000;

async function jumpWhileWaiting(running: Promise<unknown>, clock: VirtualClock, source: ScriptedSource): Promise<void> {
  let state: "running" | "ended" = "running";
  const ended = () => {
    state = "ended";
  };
  running.then(ended, ended);
  let quiet = 0;
  // A function, so that the compiler does not take the first look's answer for the second's.
  const isRunning = () => state === "running";
  while (isRunning()) {
    await new Promise((resolve) => {
      setTimeout(resolve, quiet === 0 ? 0 : LOOK);
    });
    const next = clock.next;
    quiet = next !== undefined && !source.moved() ? quiet + 1 : 0;
    if (next === undefined || quiet < quietBefore(next, clock, source) || !isRunning()) continue;
    quiet = 0;
    await clock.advance(next - clock.now());
  }
}

/** For how many looks nothing must have happened before the clock jumps to `next`. */
function quietBefore(next: number, clock: VirtualClock, source: ScriptedSource): number {
  const quiet = source.ended ? QUIET_AT_END : QUIET_BEFORE;
  return clock.hasDeadline ? Math.max(quiet, Math.min(QUIET_CALL, next - clock.now())) : quiet;
}

const ORIGIN: Origin = { system: "memory", name: "test", partition: 0 };

/** One partition with the given events. */
class ScriptedSource implements Source, Partition {
  readonly name = "test";
  readonly signal = new AbortController().signal;
  readonly #input: readonly (TestEvent | Advance)[];
  readonly #clock: VirtualClock;
  readonly #options: RunOptions;
  #given = 0;
  #seen = -1;
  #clockGoesOn = false;
  position: Position = 0;
  ended = false;

  constructor(input: readonly (TestEvent | Advance)[], clock: VirtualClock, options: RunOptions) {
    this.#input = input;
    this.#clock = clock;
    this.#options = options;
  }

  async *partitions(): AsyncGenerator<Partition> {
    yield this;
  }

  async *read(): AsyncGenerator<Batch> {
    const { batchSize = Number.POSITIVE_INFINITY, ending = "end" } = this.#options;
    let events: Event[] = [];
    let offset = 0;
    const cut = (watermark: number): Batch => {
      const batch = { events, position: offset, watermark };
      events = [];
      this.#given += 1;
      return batch;
    };
    for (const item of this.#input) {
      if ("advance" in item) {
        yield cut(NO_WATERMARK);
        this.#clockGoesOn = true;
        await this.#clock.advance(item.advance);
        this.#clockGoesOn = false;
        continue;
      }
      events.push(eventOf(item, offset++));
      if (events.length >= batchSize) yield cut(NO_WATERMARK);
    }
    this.ended = true;
    if (ending === "end") yield cut(END_OF_INPUT);
    else if (events.length > 0) yield cut(NO_WATERMARK);
  }

  /** Whether it gave something since it was asked last, or lets the clock go on by itself. */
  moved(): boolean {
    const moved = this.#clockGoesOn || this.#given !== this.#seen;
    this.#seen = this.#given;
    return moved;
  }

  commit(position: Position): Promise<void> {
    this.position = position;
    return Promise.resolve();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}

function eventOf(item: TestEvent, offset: Position): Event {
  return {
    value: item.value,
    key: item.key,
    time: item.time ?? Number.NaN,
    headers: item.headers,
    origin: ORIGIN,
    offset,
    watermark: NO_WATERMARK,
    size: 0,
    raw: rawOf(item.value),
    rawKey: item.key,
  };
}

/** The bytes that a value may have come from. */
function rawOf(value: unknown): Uint8Array | string | null | undefined {
  if (value === null || value instanceof Uint8Array || typeof value === "string") return value;
  try {
    return JSON.stringify(value);
  } catch {
    return undefined;
  }
}
