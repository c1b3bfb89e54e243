/** The broker that benchmarks use: the one that is named, or one of their own. */
import { Admin, Consumer, ListOffsetTimestamps } from "@platformatic/kafka";

import { startKafka } from "../../test/support/services/index.ts";

export const PARTITIONS = 4;

/** Names a running broker to use in place of a private one. */
export const BROKER_VARIABLE = "MILLRACE_BENCH_KAFKA";

/** A broker, and what benchmarks do to it. */
export class BenchBroker implements AsyncDisposable {
  readonly address: string;
  readonly #admin: Admin;
  readonly #offsets: Consumer;
  readonly #owned: AsyncDisposable | undefined;
  readonly #topics = new Set<string>();

  constructor(address: string, owned: AsyncDisposable | undefined) {
    this.address = address;
    this.#owned = owned;
    const bootstrapBrokers = address.split(",");
    this.#admin = new Admin({ clientId: "bench", bootstrapBrokers });
    this.#offsets = new Consumer({ clientId: "bench", groupId: "-", bootstrapBrokers, autocommit: false });
    this.#offsets.on("error", () => undefined);
  }

  static async open(): Promise<BenchBroker> {
    const named = process.env[BROKER_VARIABLE];
    if (named !== undefined && named !== "") return new BenchBroker(named, undefined);
    const properties = {
      // Kafka's default, so that the members of a group begin together; the brokers of tests have 0.
      "group.initial.rebalance.delay.ms": "3000",
      "log.segment.delete.delay.ms": "1000",
      "broker.session.timeout.ms": "18000",
      "broker.heartbeat.interval.ms": "2000",
    };
    const kafka = await startKafka({ heap: 1024, properties });
    return new BenchBroker(kafka.address, kafka);
  }

  /** Makes a topic of PARTITIONS partitions that keeps records whatever their time. */
  async makeTopic(name: string, settings: Readonly<Record<string, string>> = {}): Promise<void> {
    const configs = Object.entries({ "retention.ms": "-1", ...settings }).map(([name, value]) => ({ name, value }));
    await this.#admin.createTopics({ topics: [name], partitions: PARTITIONS, replicas: 1, configs });
    this.#topics.add(name);
  }

  async deleteTopic(name: string): Promise<void> {
    this.#topics.delete(name);
    await this.#admin.deleteTopics({ topics: [name] });
  }

  /** How many records a topic has had. */
  async count(topic: string): Promise<number> {
    return (await this.ends(topic)).reduce((sum, end) => sum + end, 0);
  }

  /** The end of each partition. */
  async ends(topic: string): Promise<number[]> {
    const offsets = await this.#offsets.listOffsets({ topics: [topic], timestamp: ListOffsetTimestamps.LATEST });
    return (offsets.get(topic) ?? []).map(Number);
  }

  /** Whether the group has members that have their partitions. */
  async isStable(group: string): Promise<boolean> {
    const groups = await this.#admin.describeGroups({ groups: [group] }).catch(() => undefined);
    const found = groups?.get(group);
    return found?.state === "Stable" && found.members.size > 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // The topics of a private broker go with it.
    if (this.#owned === undefined && this.#topics.size > 0) await this.#admin.deleteTopics({ topics: [...this.#topics] });
    await this.#admin.close();
    await this.#offsets.close(true);
    await this.#owned?.[Symbol.asyncDispose]();
  }
}
