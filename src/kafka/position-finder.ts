import { sleep } from "../clock.ts";
import { InfrastructureError } from "../errors.ts";
import type { AssignedPartition, Start } from "./assigned-partition.ts";
import type { Assignment } from "./assignment.ts";
import type { Availability } from "./availability.ts";
import { brokerTrouble, leaderless } from "./broker-errors.ts";
import type { ConsumerContext, ConsumerSettings } from "./consumer.ts";
import type { KafkaDriver, TopicInfo } from "./driver.ts";
import { STATE_KEPT } from "./driver.ts";
import type { Membership } from "./group-member.ts";
import { type LogRange, resolveOutOfRange } from "./out-of-range.ts";

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 5000;
/** The part that fails when positions can't be looked up. */
const POSITIONS = "positions";

/** Told the offsets that a partition has. */
type Found = (partition: number, range: LogRange) => void;

/** Where partitions begin, and where they go on when their position is not in the log. Waits outages out. */
export class PositionFinder {
  readonly #driver: KafkaDriver;
  readonly #membership: Membership;
  readonly #settings: ConsumerSettings;
  readonly #context: ConsumerContext;
  readonly #availability: Availability;
  readonly #closing: AbortSignal;
  /** How many partitions each topic had when this consumer first saw it. */
  readonly #counts = new Map<string, number>();

  constructor(
    settings: ConsumerSettings,
    context: ConsumerContext,
    cluster: {
      readonly driver: KafkaDriver;
      readonly membership: Membership;
      readonly availability: Availability;
      readonly closing: AbortSignal;
    },
  ) {
    this.#settings = settings;
    this.#context = context;
    this.#driver = cluster.driver;
    this.#membership = cluster.membership;
    this.#availability = cluster.availability;
    this.#closing = cluster.closing;
  }

  /** Remembers the partitions that topics have at first: those that are added while they are read begin at their first record. */
  sees(topics: ReadonlyMap<string, TopicInfo>): void {
    for (const [name, { leaders }] of topics) if (!this.#counts.has(name)) this.#counts.set(name, leaders.length);
  }

  /**
   * Where the partitions of an assignment begin, by name: at the committed positions, else as the settings say. Each settles
   * by itself: one whose leader is away holds up no other.
   */
  starts(assignment: Assignment): ReadonlyMap<string, Promise<Start>> {
    const starts = new Map(assignment.partitions.map(({ name }) => [name, Promise.withResolvers<Start>()]));
    this.#findStarts(assignment, (name, start) => starts.get(name)?.resolve(start)).catch((error: unknown) => {
      for (const start of starts.values()) start.reject(error);
    });
    // Nobody may ask any more when it fails.
    for (const { promise } of starts.values()) promise.catch(() => {});
    return new Map([...starts].map(([name, { promise }]) => [name, promise]));
  }

  async #findStarts(assignment: Assignment, found: (name: string, start: Start) => void): Promise<void> {
    const topics = [...Map.groupBy(assignment.partitions, ({ topic }) => topic)].map(([topic, partitions]) => ({
      topic,
      partitions: partitions.map(({ number }) => number),
    }));
    const committed = await this.#patiently(assignment, POSITIONS, () => this.#membership.committed(topics));
    const begun = new Map(committed.map((one) => [`${one.topic}/${one.partition}`, one]));
    for (const [name, { position, note }] of begun)
      found(name, { position, committed: true, needs: note === STATE_KEPT ? "state" : undefined });
    const finding = topics.map(async ({ topic, partitions }) => {
      const fresh = partitions.filter((partition) => !begun.has(`${topic}/${partition}`));
      await this.#ranges(assignment, topic, fresh, (partition, { first, end }) => {
        const added = partition >= (this.#counts.get(topic) ?? Number.POSITIVE_INFINITY);
        const position = added || this.#settings.from === "earliest" ? first : end;
        found(`${topic}/${partition}`, { position, committed: false });
      });
    });
    await Promise.all(finding);
  }

  /** Moves a partition whose position is not in the log as the settings say, or makes its read fail. */
  async recover(assignment: Assignment, partition: AssignedPartition): Promise<void> {
    const position = partition.fetchFrom;
    if (position === undefined) return;
    try {
      let range: LogRange = { first: 0, end: 0 };
      await this.#ranges(assignment, partition.topic, [partition.number], (_, found) => (range = found));
      partition.seek(resolveOutOfRange(partition.name, position, range, this.#settings.onOutOfRange, this.#context.logger));
    } catch (error) {
      partition.fail(error);
    }
  }

  /** Looks up the offsets of partitions, and tells those of each leader as soon as it answers. Settles when all are told. */
  async #ranges(assignment: Assignment, topic: string, partitions: readonly number[], found: Found): Promise<void> {
    if (partitions.length === 0) return;
    const layout = await this.#patiently(assignment, POSITIONS, () => this.#driver.topics([topic]));
    const leaders = layout.get(topic)?.leaders ?? [];
    const byLeader = Map.groupBy(partitions, (partition) => leaders[partition] ?? -1);
    await Promise.all([...byLeader.values()].map((led) => this.#rangesTogether(assignment, topic, led, found)));
  }

  async #rangesTogether(assignment: Assignment, topic: string, partitions: readonly number[], found: Found): Promise<void> {
    let left = partitions;
    await this.#patiently(assignment, `${POSITIONS} of ${topic}/${partitions.join()}`, async () => {
      const ranges = await this.#driver.ranges(topic, left);
      for (const [partition, range] of ranges) found(partition, range);
      left = left.filter((partition) => !ranges.has(partition));
      if (left.length > 0) throw new InfrastructureError(leaderless(left.map((partition) => `${topic}/${partition}`).join(", ")));
    });
  }

  /** Tries until it works, or the assignment is over or given up. */
  async #patiently<R>(assignment: Assignment, part: string, request: () => Promise<R>): Promise<R> {
    const drained = new AbortController();
    void assignment.drained.then(() => drained.abort());
    const givenUp = AbortSignal.any([this.#context.signal, this.#closing]);
    const over = AbortSignal.any([assignment.lost, drained.signal, givenUp]);
    try {
      for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
        try {
          return await request();
        } catch (error) {
          over.throwIfAborted();
          this.#availability.down(part, brokerTrouble(error, this.#context.connection));
          await sleep(pause, over, this.#context.clock);
        }
      }
    } finally {
      if (!givenUp.aborted) this.#availability.up(part);
    }
  }
}
