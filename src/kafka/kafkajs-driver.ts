/**
 * A cluster through kafkajs: its connections, authentication, metadata and request formats. Its consumer is not used: it
 * holds up all partitions for a slow one, resets positions without telling, and joins without waiting for work in flight.
 */
import type { Kafka } from "kafkajs";

import type { KafkaConnection } from "../connections.ts";
import type { Logger } from "../contracts.ts";
import { brokerErrorName } from "./broker-errors.ts";
import { type ClientSettings, REQUEST_TIMEOUT } from "./client-options.ts";
import { describeEach } from "./describe-topics.ts";
import type { FetchChannel, GroupCoordinator, GroupSettings, KafkaDriver, TopicInfo } from "./driver.ts";
import { createKafkajs } from "./kafkajs-client.ts";
import { type KafkajsBroker, type OpenCluster, openCluster } from "./kafkajs-cluster.ts";
import { fetchRecords } from "./kafkajs-fetch.ts";
import { KafkajsCoordinator } from "./kafkajs-group.ts";
import { rangesFromLeaders } from "./log-ranges.ts";
import type { LogRange } from "./out-of-range.ts";
import type { NewTopic } from "./producer.ts";

const READ_COMMITTED = 1;
const LATEST = "-1";
const EARLIEST = "-2";

export class KafkajsDriver implements KafkaDriver {
  readonly #kafka: Kafka;
  readonly #open: OpenCluster;

  constructor(connection: KafkaConnection, settings: ClientSettings, logger: Logger) {
    this.#kafka = createKafkajs(connection, { ...settings, kafkajsRetries: 1 }, logger);
    this.#open = openCluster(this.#kafka);
  }

  topics(names: readonly string[]): Promise<ReadonlyMap<string, TopicInfo>> {
    return describeEach(names, (name) => this.#topic(name));
  }

  async #topic(name: string): Promise<TopicInfo | undefined> {
    const { cluster } = this.#open;
    await cluster.connect();
    try {
      await cluster.brokerPool.refreshMetadata([name]);
    } catch (error) {
      if (brokerErrorName(error) === "UNKNOWN_TOPIC_OR_PARTITION") return undefined;
      throw error;
    }
    const found = cluster.brokerPool.metadata?.topicMetadata.find(({ topic }) => topic === name);
    if (found === undefined) return undefined;
    const leaders: number[] = [];
    for (const { partitionId, leader } of found.partitionMetadata) leaders[partitionId] = leader;
    // kafkajs knows no topic ids, so fetches name topics.
    return { name, id: name, leaders };
  }

  async create(names: readonly string[], { partitions, replicas }: NewTopic): Promise<void> {
    const admin = this.#kafka.admin({ retry: { retries: 1 } });
    try {
      await admin.connect();
      // It takes it well when a topic is there already.
      await admin.createTopics({
        topics: names.map((topic) => ({ topic, numPartitions: partitions ?? -1, replicationFactor: replicas ?? -1 })),
      });
    } finally {
      await admin.disconnect();
    }
  }

  async ranges(topic: string, partitions: readonly number[], since?: number): Promise<ReadonlyMap<number, LogRange>> {
    const info = (await this.topics([topic])).get(topic) as TopicInfo;
    return await rangesFromLeaders(info, partitions, async (leader, led, edge) => {
      const timestamp = edge === "first" ? (since === undefined ? EARLIEST : String(since)) : LATEST;
      const broker = await this.#open.cluster.findBroker({ nodeId: leader });
      const topics = [{ topic, partitions: led.map((partition) => ({ partition, timestamp })) }];
      const { responses } = await broker.listOffsets({ isolationLevel: READ_COMMITTED, topics });
      const told = responses.flatMap((answer) => answer.partitions);
      return new Map(told.map(({ partition, offset }) => [partition, Number(offset)]));
    });
  }

  fetching(): FetchChannel {
    const open = openCluster(this.#kafka);
    const { cluster } = open;
    let ready: Promise<void> | undefined;
    return {
      fetch: async (node, requests, limits) => {
        ready ??= cluster.connect().then(() => cluster.brokerPool.refreshMetadata([...new Set(requests.map(({ topicId }) => topicId))]));
        let broker: KafkajsBroker | undefined;
        try {
          await ready;
          broker = await cluster.findBroker({ nodeId: node });
          return await fetchRecords(broker, requests, limits, REQUEST_TIMEOUT);
        } catch (error) {
          ready = undefined;
          await broker?.disconnect().catch(() => {});
          throw error;
        }
      },
      [Symbol.asyncDispose]: () => open[Symbol.asyncDispose](),
    };
  }

  coordinator(settings: GroupSettings): GroupCoordinator {
    return new KafkajsCoordinator(this.#kafka, this.#open.cluster, settings);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open[Symbol.asyncDispose]();
  }
}
