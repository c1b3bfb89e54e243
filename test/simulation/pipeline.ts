import type { Clock } from "../../src/clock.ts";
import type { SinkSpec, SourceSpec } from "../../src/contracts.ts";
import type { Stream } from "../../src/pipeline/builder.ts";
import { from } from "../../src/pipeline/builder.ts";
import type { CallContext } from "../../src/pipeline/call.ts";
import type { Failure, HandlerPolicy, HandlerSteps } from "../../src/pipeline/error-handler.ts";
import type { ErrorPolicy } from "../../src/pipeline/error-policy.ts";
import { failed } from "../../src/pipeline/infer.ts";
import type { Plan } from "../../src/pipeline/plan.ts";
import { count } from "../../src/pipeline/windows/count.ts";
import type { WindowSpec } from "../../src/pipeline/windows/spec.ts";
import { countOrTime, session, sliding, tumbling } from "../../src/pipeline/windows/spec.ts";
import type { Reading } from "./input.ts";
import type { CallShape, Grouping, Policy, Shape } from "./shape.ts";
import { isUnordered } from "./shape.ts";

/** The part of a plan that is opened by the simulation. */
export const SINK: SinkSpec = spec("results");
export const LATE: SinkSpec = spec("late");
const BOX: SinkSpec = { ...spec("box"), openLetters: () => Promise.reject(new Error("not opened here")) };

/** Builds the pipeline of a run. Its calls to services outside take the time of `clock`. */
export function buildPlan(shape: Shape, clock: Clock): Plan {
  const begun = from(sourceSpec())
    .onError("deadLetter", { breaker: "off" })
    .deadLetter(BOX)
    .map(decode, { name: "decode", onError: policyOf(shape.decodePolicy, clock, "after") });
  const timed = shape.grouping === "none" ? begun : begun.timeBy(timeOf, { name: "time", outOfOrderness: shape.outOfOrderness });
  const filtered = shape.filtered ? timed.filter(({ kept }) => kept, { name: "filter" }) : timed;
  const behind = filtered.map((reading) => reading, { name: "after" });
  const called = shape.call === undefined ? behind : withCalls(behind, shape.call, clock, !isUnordered(shape));
  const grouped = withGroups(called, shape);
  const last = shape.callLast ? grouped.mapAsync((value) => later(clock, 3, () => value), { name: "last", maxInFlight: 3 }) : grouped;
  return last.to(SINK);
}

function spec(kind: string): SinkSpec {
  return { kind, description: {}, open: () => Promise.reject(new Error("not opened here")) };
}

function sourceSpec(): SourceSpec<Reading> {
  return {
    kind: "simulated",
    description: {},
    finite: false,
    timestamps: true,
    partitioned: true,
    open: () => Promise.reject(new Error("not opened here")),
  };
}

function decode(reading: Reading): Reading {
  if (reading.fault === "decode") throw new TypeError("it can't be decoded");
  return reading;
}

function timeOf({ fault, time }: Reading): number {
  return fault === "time" ? Number.NaN : time;
}

function withCalls(stream: Stream<Reading>, shape: CallShape, clock: Clock, ordered: boolean): Stream<Reading> {
  const { maxInFlight, retries, timeout, latency, rows } = shape;
  const onError = policyOf(shape.policy, clock, undefined);
  const options = { name: "call", maxInFlight, ordered, retries, timeout, backoffFactor: 0.05, onError, passContext: true } as const;
  const answer = (reading: Reading, { attempt }: CallContext): Reading => {
    const end = reading.attempts[attempt - 1];
    if (reading.mended !== true && reading.fault === "call") throw new Error("it never succeeds");
    if (end === "fails") throw new Error("it may succeed later");
    return reading;
  };
  const hangs = (reading: Reading, { attempt }: CallContext) => reading.attempts[attempt - 1] === "hangs";
  if (rows === 1) {
    return stream.mapAsync(
      (reading: Reading, context: CallContext) =>
        hangs(reading, context) ? new Promise<never>(() => undefined) : later(clock, latency, () => answer(reading, context)),
      options,
    );
  }
  return stream.infer(
    (readings: readonly Reading[], context: CallContext) => {
      if (readings.some((reading) => hangs(reading, context))) return new Promise<never>(() => undefined);
      return later(clock, latency, () => readings.map((reading) => rowOf(() => answer(reading, context))));
    },
    { ...options, batch: { maxSize: rows } },
  );
}

function rowOf(answer: () => Reading): Reading {
  try {
    return answer();
  } catch (error) {
    return failed(error);
  }
}

function withGroups(stream: Stream<Reading>, shape: Shape): Stream<unknown> {
  if (shape.grouping === "none") return stream;
  if (shape.grouping === "batch") {
    return shape.per === "key" ? stream.batch({ size: 4, key: (_, event) => event.key }) : stream.batch({ size: 4 });
  }
  const options = { lateness: shape.lateness, late: LATE, per: shape.per } as const;
  const windows: Stream<unknown> =
    shape.holds === "values"
      ? stream.window(windowOf(shape.grouping), options)
      : stream.window(windowOf(shape.grouping), { ...options, fold: ids });
  return shape.second ? windows.window(tumbling(200), { name: "second", late: LATE, per: "all" }) : windows;
}

/** A fold of which one can tell what is in it. */
const ids = {
  init: (): readonly string[] => [],
  add: (all: readonly string[], { id }: Reading): readonly string[] => [...all, id],
  merge: (a: readonly string[], b: readonly string[]): readonly string[] => [...a, ...b],
};

const WINDOWS: Readonly<Record<Exclude<Grouping, "none" | "batch">, WindowSpec>> = {
  tumbling: tumbling(50),
  sliding: sliding(60, 20),
  session: session(15),
  count: count(4),
  "overlapping count": count(5, 2),
  countOrTime: countOrTime(5, 80),
};

function windowOf(grouping: Exclude<Grouping, "none" | "batch">): WindowSpec {
  return WINDOWS[grouping];
}

function policyOf(policy: Policy, clock: Clock, into: string | undefined): ErrorPolicy {
  const mended = ({ event }: Failure) => ({ value: { ...(event.value as Reading), mended: true } });
  const handlers: Readonly<Record<string, HandlerPolicy | HandlerSteps>> = {
    mend: { handle: mended },
    "mend later": { handle: (failure) => later(clock, 7, () => mended(failure)), into },
    "handler skips": { handle: () => "skip" },
    "handler letters": { handle: () => later(clock, 7, () => "deadLetter" as const) },
  };
  return handlers[policy] ?? (policy as "deadLetter" | "skip");
}

/** Something from outside: it comes after some time. */
function later<R>(clock: Clock, ms: number, what: () => R): Promise<R> {
  return new Promise((resolve, reject) => {
    const answer = () => {
      try {
        resolve(what());
      } catch (error) {
        reject(error);
      }
    };
    if (ms === 0) answer();
    else clock.after(ms, answer);
  });
}

/** The readings that a result was made of. */
export function readingsIn(value: unknown): readonly string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.flatMap(readingsIn);
  if (typeof value !== "object" || value === null) return [];
  if ("id" in value) return [value.id as string];
  if ("values" in value) return readingsIn(value.values);
  return "value" in value ? readingsIn(value.value) : [];
}
