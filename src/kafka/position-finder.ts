import type { Position } from "../batch.ts";
import { sleep } from "../clock.ts";
import type { AssignedPartition } from "./assigned-partition.ts";
import type { Assignment } from "./assignment.ts";
import type { Availability } from "./availability.ts";
import { brokerTrouble } from "./broker-errors.ts";
import type { ConsumerContext, ConsumerSettings } from "./consumer.ts";
import type { KafkaDriver } from "./driver.ts";
import type { Membership } from "./group-member.ts";
import { resolveOutOfRange } from "./out-of-range.ts";

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 5000;
/** The part that fails when positions can't be looked up. */
const POSITIONS = "positions";

/** Where partitions begin, and where they go on when their position is not in the log. Waits outages out. */
export class PositionFinder {
  readonly #driver: KafkaDriver;
  readonly #membership: Membership;
  readonly #settings: ConsumerSettings;
  readonly #context: ConsumerContext;
  readonly #availability: Availability;
  readonly #closing: AbortSignal;

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

  /** Where the partitions of an assignment begin, by name: at the committed positions, else as the settings say. */
  async starts(assignment: Assignment): Promise<ReadonlyMap<string, Position>> {
    return await this.#patiently(assignment, async () => {
      const topics = [...Map.groupBy(assignment.partitions, ({ topic }) => topic)].map(([topic, partitions]) => ({
        topic,
        partitions: partitions.map(({ number }) => number),
      }));
      const committed = await this.#membership.committed(topics);
      const starts = new Map(committed.map(({ topic, partition, position }) => [`${topic}/${partition}`, position]));
      for (const { topic, partitions } of topics) {
        const fresh = partitions.filter((partition) => !starts.has(`${topic}/${partition}`));
        if (fresh.length === 0) continue;
        for (const [partition, { first, end }] of await this.#driver.ranges(topic, fresh)) {
          starts.set(`${topic}/${partition}`, this.#settings.from === "earliest" ? first : end);
        }
      }
      return starts;
    });
  }

  /** Moves a partition whose position is not in the log as the settings say, or makes its read fail. */
  async recover(assignment: Assignment, partition: AssignedPartition): Promise<void> {
    const position = partition.fetchFrom;
    if (position === undefined) return;
    try {
      const ranges = await this.#patiently(assignment, () => this.#driver.ranges(partition.topic, [partition.number]));
      const range = ranges.get(partition.number) ?? { first: 0, end: 0 };
      partition.seek(resolveOutOfRange(partition.name, position, range, this.#settings.onOutOfRange, this.#context.logger));
    } catch (error) {
      partition.fail(error);
    }
  }

  /** Tries until it works, or the assignment is lost or given up. */
  async #patiently<R>(assignment: Assignment, request: () => Promise<R>): Promise<R> {
    const over = AbortSignal.any([assignment.lost, this.#context.signal, this.#closing]);
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      try {
        const result = await request();
        this.#availability.up(POSITIONS);
        return result;
      } catch (error) {
        over.throwIfAborted();
        this.#availability.down(POSITIONS, brokerTrouble(error, this.#context.connection));
        await sleep(pause, over, this.#context.clock);
      }
    }
  }
}
