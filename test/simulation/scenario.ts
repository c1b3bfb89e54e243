import type { Reading } from "./input.ts";
import { makeInput } from "./input.ts";
import { Random } from "./random.ts";
import type { Shape } from "./shape.ts";
import { faultsOf, makeShape } from "./shape.ts";

export type ServiceName = "broker" | "store" | "outputs";

/** Something that goes wrong, or is done to a member. Times in milliseconds of virtual time. */
export type Trouble =
  | { readonly kind: "crash" | "stop" | "abandon"; readonly at: number; readonly member: number; readonly back: number }
  | {
      readonly kind: "crash at request";
      readonly at: number;
      readonly member: number;
      readonly back: number;
      readonly request: number;
      readonly when: "before" | "after";
    }
  | { readonly kind: "freeze"; readonly at: number; readonly member: number; readonly lasts: number }
  | { readonly kind: "clock"; readonly at: number; readonly member: number; readonly skew: number }
  | { readonly kind: "away"; readonly at: number; readonly service: ServiceName; readonly lasts: number }
  | { readonly kind: "lossy"; readonly at: number; readonly service: ServiceName; readonly lasts: number; readonly share: number };

/** Records that come to be, all at once. */
export interface Arrival {
  readonly at: number;
  readonly partition: number;
  readonly count: number;
}

/** Everything that a seed stands for. */
export interface Scenario {
  readonly seed: number;
  /** `log`: as Kafka; `queue`: as a JetStream consumer that members share. */
  readonly kind: "log" | "queue";
  readonly members: number;
  /** When each member is started first. */
  readonly starts: readonly number[];
  readonly shape: Shape;
  readonly input: readonly (readonly Reading[])[];
  readonly arrivals: readonly Arrival[];
  /** The most records of a batch. */
  readonly batch: number;
  readonly latencies: Readonly<Record<ServiceName, number>>;
  /** From one checkpoint to the next. */
  readonly interval: number;
  /** `calm`: members are only started and stopped as planned, so nothing may come twice. */
  readonly mood: "calm" | "troubled";
  readonly troubles: readonly Trouble[];
}

/** When everything is healed. */
export const HEALED = 25_000;

const LAST_ARRIVAL = 24_000;

/** What a smaller run of the same seed leaves out. */
export interface Less {
  /** The numbers of troubles that do not happen. */
  readonly without?: ReadonlySet<number> | undefined;
  /** The most events of a partition. */
  readonly events?: number | undefined;
}

export function makeScenario(seed: number, less: Less = {}): Scenario {
  const random = new Random(seed, "scenario");
  const kind = random.chance(0.15) ? "queue" : "log";
  const shape = makeShape(random, kind);
  const members = random.int(1, 3);
  const mood = random.chance(0.25) ? "calm" : "troubled";
  const partitions = kind === "queue" ? 1 : random.int(1, 4);
  const events = random.int(5, Math.ceil(120 / partitions));
  const options = {
    partitions,
    events,
    keys: random.int(1, 4),
    jitter: random.pick([0, 5, 40]),
    bad: random.pick([0, 0.05, 0.3]),
    faults: faultsOf(shape),
    badAttempts: shape.call?.retries ?? 0,
  };
  const whole = makeInput(random.fork("input"), options);
  const input = whole.map((readings) => readings.slice(0, less.events));
  const troubles = makeTroubles(random.fork("troubles"), members, mood);
  return {
    seed,
    kind,
    members,
    starts: Array.from({ length: members }, (_, index) => (index === 0 ? 0 : random.int(0, 8000))),
    shape,
    input,
    arrivals: makeArrivals(random.fork("arrivals"), input),
    batch: random.pick([1, 4, 20]),
    latencies: { broker: random.pick([2, 20]), store: random.pick([2, 30, 400]), outputs: random.pick([2, 30, 400]) },
    interval: random.pick([50, 300, 2000]),
    mood,
    troubles: troubles.filter((_, index) => less.without?.has(index) !== true),
  };
}

function makeArrivals(random: Random, input: readonly (readonly Reading[])[]): readonly Arrival[] {
  const spread = random.pick([1000, 8000, 18_000]);
  return input.flatMap((readings, partition) => {
    const arrivals: Arrival[] = [];
    let at = random.int(0, 500);
    for (let first = 0; first < readings.length;) {
      const count = Math.min(random.int(1, 16), readings.length - first);
      arrivals.push({ at, partition, count });
      first += count;
      at = Math.min(LAST_ARRIVAL, at + random.int(0, Math.ceil((2 * spread * count) / readings.length)));
    }
    return arrivals;
  });
}

const SERVICES: readonly ServiceName[] = ["broker", "store", "outputs"];

function makeTroubles(random: Random, members: number, mood: Scenario["mood"]): readonly Trouble[] {
  const troubles = Array.from({ length: random.int(1, 6) }, (): Trouble => {
    const at = random.int(200, 20_000);
    const member = random.int(0, members - 1);
    const back = random.int(100, 4000);
    if (mood === "calm") return { kind: "stop", at, member, back };
    const lasts = random.pick([random.int(300, 3000), random.int(3000, 12_000)]);
    const service = random.pick(SERVICES);
    const kinds = [
      "crash",
      "crash",
      "crash at request",
      "crash at request",
      "freeze",
      "freeze",
      "stop",
      "abandon",
      "away",
      "lossy",
      "clock",
    ] as const;
    const kind = random.pick(kinds);
    switch (kind) {
      case "crash at request":
        return { kind, at, member, back, request: random.int(1, 40), when: random.pick(["before", "after"]) };
      case "freeze":
        return { kind, at, member, lasts: random.pick([random.int(500, 4000), random.int(7000, 15_000)]) };
      case "clock":
        return { kind, at, member, skew: random.pick([-3_600_000, -2000, 2000, 3_600_000]) };
      case "away":
        return { kind, at, service, lasts };
      case "lossy":
        return { kind, at, service, lasts, share: random.pick([0.2, 0.6]) };
      default:
        return { kind, at, member, back };
    }
  });
  return troubles.sort((a, b) => a.at - b.at);
}
