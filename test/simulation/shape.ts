import type { Fault, Reading } from "./input.ts";
import type { Random } from "./random.ts";

/** What is done with events that a step can't pass. */
export type Policy = "deadLetter" | "skip" | "mend" | "mend later" | "handler skips" | "handler letters";

const POLICIES: readonly Policy[] = ["deadLetter", "deadLetter", "skip", "mend", "mend later", "handler skips", "handler letters"];

export const GROUPINGS = ["none", "batch", "tumbling", "sliding", "session", "count", "overlapping count", "countOrTime"] as const;
export type Grouping = (typeof GROUPINGS)[number];

/** What the pipeline of a run is made of. Times in milliseconds. */
export interface Shape {
  readonly grouping: Grouping;
  readonly holds: "values" | "fold";
  readonly per: "key" | "all";
  readonly lateness: number;
  /** Another window over the results of the first. */
  readonly second: boolean;
  readonly outOfOrderness: number;
  readonly filtered: boolean;
  readonly decodePolicy: Policy;
  readonly call: CallShape | undefined;
  /** Calls that come behind the windows. */
  readonly callLast: boolean;
  /** Writes of the sink under way at a time. */
  readonly writes: number;
  /** How the sink says that it refuses an event. */
  readonly refusal: "asks" | "throws";
}

export interface CallShape {
  readonly maxInFlight: number;
  readonly retries: number;
  readonly timeout: number;
  readonly latency: number;
  readonly policy: Policy;
  /** `infer` with so many rows a call; 1 for `mapAsync`. */
  readonly rows: number;
}

/** Whether results of its calls go on as they are done: where no step behind them goes by the order. Told by other draws, so that each seed stays what it was. */
export function isUnordered({ grouping, call }: Shape): boolean {
  return grouping === "none" && call !== undefined && call.maxInFlight % 2 === 0;
}

export function makeShape(random: Random, kind: "log" | "queue"): Shape {
  const grouping = kind === "queue" ? "none" : random.chance(0.25) ? "none" : random.pick(GROUPINGS);
  const refusal = random.pick(["asks", "throws"] as const);
  const timed = ["tumbling", "sliding", "session", "countOrTime"].includes(grouping);
  return {
    grouping,
    holds: random.pick(["values", "fold"]),
    per: random.pick(["key", "key", "all"]),
    lateness: timed && random.chance(0.4) ? random.int(1, 40) : 0,
    second: timed && random.chance(0.2),
    outOfOrderness: random.pick([0, 10, 60]),
    filtered: random.chance(0.6),
    decodePolicy: random.pick(POLICIES),
    call: random.chance(0.5)
      ? {
          maxInFlight: random.int(1, 8),
          retries: random.int(0, 3),
          timeout: 400,
          latency: random.pick([0, 5, 80]),
          policy: random.pick(POLICIES),
          rows: random.pick([1, 1, 4]),
        }
      : undefined,
    callLast: random.chance(0.2),
    // A sink that can't tell before it writes takes one call at a time: those behind a refused event would overtake it.
    writes: refusal === "throws" ? 1 : random.int(1, 4),
    refusal,
  };
}

/** The faults that an event can have in a pipeline of that shape. */
export function faultsOf(shape: Shape): readonly Fault[] {
  const faults: Fault[] = ["source", "decode"];
  if (shape.grouping !== "none") faults.push("time");
  if (shape.call !== undefined) faults.push("call");
  if (shape.grouping === "none") faults.push("sink");
  return faults;
}

/** Where an event is to end: `passed` on to the sink, or into a window, a batch, or what came too late for one. */
export type Fate = "passed" | "filtered" | "skipped" | "letter";

/** What is to become of an event, told without the engine. */
export function fateOf(reading: Reading, shape: Shape): Fate {
  const { fault } = reading;
  if (fault === "source") return "letter";
  if (fault === "decode") {
    const failed = fateBy(shape.decodePolicy);
    if (failed !== undefined) return failed;
  }
  if (fault === "time" && shape.grouping !== "none") return "letter";
  // What was mended later goes on behind the filter.
  const passesFilter = reading.kept || (fault === "decode" && shape.decodePolicy === "mend later");
  if (shape.filtered && !passesFilter) return "filtered";
  if (fault === "call" && shape.call !== undefined) {
    const failed = fateBy(shape.call.policy);
    if (failed !== undefined) return failed;
  }
  return fault === "sink" ? "letter" : "passed";
}

function fateBy(policy: Policy): Fate | undefined {
  if (policy === "deadLetter" || policy === "handler letters") return "letter";
  return policy === "skip" || policy === "handler skips" ? "skipped" : undefined;
}
