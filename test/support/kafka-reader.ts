import type { Batch, Event, Position } from "../../src/batch.ts";
import { type Clock, systemClock } from "../../src/clock.ts";
import type { KafkaConnection } from "../../src/connections.ts";
import type { Logger, Partition } from "../../src/contracts.ts";
import { type ConsumerSettings, createConsumer, type KafkaConsumer, type RecordValue } from "../../src/kafka/consumer.ts";
import { openSharedResources } from "../../src/shared-resources.ts";
import { silent } from "./kafka-topics.ts";

/** How a reader differs from one that reads everything at once and commits it. */
export interface ReaderOptions {
  /** Stands for steps and sinks: a batch is done, and committed, when it settles. */
  readonly work?: (partition: Partition<RecordValue>, batch: Batch<RecordValue>) => Promise<void>;
  /** The position that `read` is called with. */
  readonly from?: (partition: string) => Position | undefined;
  readonly logger?: Logger;
  readonly clock?: Clock;
}

/** Settings with short times, so that tests of what takes a while take a short while. */
export function consumerSettings(topic: string, settings: Partial<ConsumerSettings> = {}): ConsumerSettings {
  return {
    topics: [topic],
    group: `test-${topic}`,
    create: undefined,
    from: "earliest",
    onOutOfRange: "fail",
    keyEncoding: "utf8",
    maxWaiting: 1_048_576,
    sessionTimeout: 6000,
    rebalanceTimeout: 20_000,
    heartbeatInterval: 500,
    ...settings,
  };
}

/** Does with a consumer what the engine does: reads each partition it is given, and commits what is done. */
export class Reader implements AsyncDisposable {
  /** The events that are done, by partition name, in the order in which they were done. */
  readonly events = new Map<string, Event<RecordValue>[]>();
  /** The partitions that it has. */
  readonly open = new Map<string, Partition<RecordValue>>();
  /** What it said to wait for, and undefined for each time that it went on. */
  readonly waiting: (string | undefined)[] = [];
  /** What ended the reading of a partition, by its name. */
  readonly failures = new Map<string, unknown>();
  /** The partitions that were lost without a drain. */
  readonly lost: string[] = [];
  readonly #options: ReaderOptions;
  readonly #stop = new AbortController();
  readonly #giveUp = new AbortController();
  readonly #givenUp: Promise<unknown>;
  readonly #consumer: Promise<KafkaConsumer>;
  readonly #running: Promise<void>;

  constructor(connection: KafkaConnection, settings: ConsumerSettings, options: ReaderOptions = {}) {
    this.#options = options;
    this.#givenUp = new Promise((resolve) => this.#giveUp.signal.addEventListener("abort", resolve));
    this.#consumer = createConsumer(settings, {
      connection,
      shared: openSharedResources(),
      clientId: "test",
      logger: options.logger ?? silent,
      clock: options.clock ?? systemClock,
      signal: this.#giveUp.signal,
      waiting: (reason) => this.waiting.push(reason),
    });
    this.#running = this.#run();
    // Whoever is interested asks for it.
    this.#running.catch(() => {});
  }

  /** Settles when it has stopped; throws what ended it. */
  get ended(): Promise<void> {
    return this.#running;
  }

  /** How many events are done. */
  get count(): number {
    let count = 0;
    for (const events of this.events.values()) count += events.length;
    return count;
  }

  /** The values that are done, as text. */
  texts(partition: string): (string | null)[] {
    return (this.events.get(partition) ?? []).map(({ value }) => (value === null ? null : Buffer.from(value).toString()));
  }

  async lag(): Promise<number | undefined> {
    return (await this.#consumer).lag();
  }

  async #run(): Promise<void> {
    const consumer = await this.#consumer;
    const partitions = new Set<Promise<void>>();
    try {
      for await (const partition of consumer.partitions(this.#stop.signal)) {
        const reading = this.#read(partition).finally(() => partitions.delete(reading));
        partitions.add(reading);
      }
    } finally {
      await Promise.all(partitions);
    }
  }

  async #read(partition: Partition<RecordValue>): Promise<void> {
    const { name } = partition;
    this.open.set(name, partition);
    partition.signal.addEventListener("abort", () => this.lost.push(name), { once: true });
    const done = this.events.get(name) ?? [];
    this.events.set(name, done);
    try {
      for await (const batch of partition.read(this.#options.from?.(name))) {
        await Promise.race([this.#options.work?.(partition, batch), this.#givenUp]);
        if (partition.signal.aborted) break;
        done.push(...batch.events);
        await partition.commit(batch.position);
      }
    } catch (error) {
      if (!partition.signal.aborted) this.failures.set(name, error);
    }
    if (this.open.get(name) === partition) this.open.delete(name);
    await partition[Symbol.asyncDispose]();
  }

  /** A planned stop: what was read is done and committed, the group is left. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running.catch(() => {});
    await (await this.#consumer)[Symbol.asyncDispose]();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#giveUp.abort();
    await this.stop();
  }
}
