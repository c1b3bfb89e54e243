/**
 * A cluster through @platformatic/kafka: its connections, authentication, metadata and request formats.
 */
import {
  Admin,
  type Connection,
  ConnectionPool,
  Consumer,
  FetchIsolationLevels,
  listOffsetsV7,
  ListOffsetTimestamps,
} from "@platformatic/kafka";

import type { KafkaConnection } from "../connections.ts";
import type { Lease } from "../contracts.ts";
import { brokerErrorName } from "./broker-errors.ts";
import { type ClientSettings, platformaticOptions, REQUEST_TIMEOUT } from "./client-options.ts";
import { describeEach } from "./describe-topics.ts";
import type { FetchChannel, GroupCoordinator, GroupSettings, KafkaDriver, TopicInfo } from "./driver.ts";
import type { Heartbeats } from "./heartbeats.ts";
import { rangesFromLeaders } from "./log-ranges.ts";
import type { LogRange } from "./out-of-range.ts";
import { listenForErrors } from "./platformatic-errors.ts";
import { fetchRecords } from "./platformatic-fetch.ts";
import { PlatformaticCoordinator } from "./platformatic-group.ts";
import { PlatformaticLayouts } from "./platformatic-layouts.ts";
import type { NewTopic } from "./producer.ts";

const NOT_A_REPLICA = -1;

export class PlatformaticDriver implements KafkaDriver {
  readonly #connection: KafkaConnection;
  readonly #settings: ClientSettings;
  readonly #heartbeats: Lease<Heartbeats>;
  readonly #client: Consumer;
  readonly #layouts: PlatformaticLayouts;
  readonly #pools = new Set<ConnectionPool>();

  /** @param heartbeats belongs to the driver */
  constructor(connection: KafkaConnection, settings: ClientSettings, heartbeats: Lease<Heartbeats>) {
    this.#connection = connection;
    this.#settings = settings;
    this.#heartbeats = heartbeats;
    // A Consumer that never joins: of the clients of the library only it needs no administrator's rights.
    this.#client = new Consumer({ ...platformaticOptions(connection, settings), groupId: "-", autocommit: false });
    this.#layouts = new PlatformaticLayouts(this.#client);
    this.#client.on("error", ignore);
    listenForErrors(this.#client.connections);
  }

  topics(names: readonly string[]): Promise<ReadonlyMap<string, TopicInfo>> {
    return describeEach(names, (name) => this.#topic(name));
  }

  async create(names: readonly string[], { partitions, replicas }: NewTopic): Promise<void> {
    const admin = new Admin(platformaticOptions(this.#connection, this.#settings));
    admin.on("error", ignore);
    listenForErrors(admin.connections);
    try {
      for (const name of names) {
        await admin.createTopics({ topics: [name], partitions: partitions ?? -1, replicas: replicas ?? -1 }).catch((error: unknown) => {
          if (brokerErrorName(error) !== "TOPIC_ALREADY_EXISTS") throw error;
        });
      }
    } finally {
      await admin.close().catch(ignore);
    }
  }

  async #topic(name: string): Promise<TopicInfo | undefined> {
    const layout = await this.#layouts.ask(name);
    return layout && { name, ...layout };
  }

  async ranges(topic: string, partitions: readonly number[], since?: number): Promise<ReadonlyMap<number, LogRange>> {
    const info = (await this.topics([topic])).get(topic) as TopicInfo;
    return await rangesFromLeaders(info, partitions, async (leader, led, edge) => {
      const begin = since === undefined ? ListOffsetTimestamps.EARLIEST : BigInt(since);
      const timestamp = edge === "first" ? begin : ListOffsetTimestamps.LATEST;
      const asked = led.map((partitionIndex) => ({ partitionIndex, currentLeaderEpoch: -1, timestamp }));
      const connection = await this.connectionTo(this.#broker(leader));
      const wanted = [{ name: topic, partitions: asked }];
      const { topics } = await listOffsetsV7.api.async(connection, NOT_A_REPLICA, FetchIsolationLevels.READ_COMMITTED, wanted);
      const told = topics.flatMap((answer) => answer.partitions);
      return new Map(told.map(({ partitionIndex, offset }) => [partitionIndex, Number(offset)]));
    });
  }

  #broker(node: number) {
    const broker = this.#layouts.brokers.get(node);
    if (broker === undefined) throw new Error(`node ${node} is not among the brokers`);
    return broker;
  }

  /** A connection to a broker that is up, for requests that are answered at once. */
  async anyConnection(): Promise<Connection> {
    return await this.#client.connections.getFirstAvailable(this.#bootstrap());
  }

  /** A connection to that broker, for requests that are answered at once. */
  async connectionTo(broker: { readonly host: string; readonly port: number }): Promise<Connection> {
    return await this.#client.connections.get(broker);
  }

  fetching(): FetchChannel {
    const pool = this.pool(REQUEST_TIMEOUT);
    return {
      fetch: async (node, requests, limits) => await fetchRecords(await pool.get(this.#broker(node)), requests, limits),
      [Symbol.asyncDispose]: () => this.closePool(pool),
    };
  }

  coordinator(settings: GroupSettings): GroupCoordinator {
    return new PlatformaticCoordinator(this, settings, this.#heartbeats.resource);
  }

  /** Connections of their own, for requests that wait in the broker and would hold up others. Closed with the cluster at the latest. */
  pool(requestTimeout: number): ConnectionPool {
    const pool = new ConnectionPool(this.#settings.clientId, platformaticOptions(this.#connection, { ...this.#settings, requestTimeout }));
    listenForErrors(pool);
    this.#pools.add(pool);
    return pool;
  }

  async closePool(pool: ConnectionPool): Promise<void> {
    this.#pools.delete(pool);
    await pool.close().catch(ignore);
  }

  #bootstrap() {
    const known = this.#layouts.brokers.values();
    return [...platformaticOptions(this.#connection, this.#settings).bootstrapBrokers, ...known] as { host: string; port: number }[];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#pools].map((pool) => this.closePool(pool)));
    await this.#client.close(true).catch(ignore);
    await this.#heartbeats[Symbol.asyncDispose]();
  }
}

function ignore(): void {}
