import {
  type Connection,
  type ConnectionPool,
  decodeConsumerProtocolAssignment,
  decodeConsumerProtocolSubscription,
  encodeConsumerProtocolAssignment,
  encodeConsumerProtocolSubscription,
  FindCoordinatorKeyTypes,
  findCoordinatorV4,
  joinGroupV9,
  leaveGroupV5,
  offsetCommitV8,
  offsetFetchV8,
  syncGroupV5,
} from "@platformatic/kafka";

import { brokerErrorName } from "./broker-errors.ts";
import type { GroupCoordinator, GroupSettings, Joined, JoinChannel, MemberOf, PartitionPosition } from "./driver.ts";
import type { TopicPartitions } from "./group-assignment.ts";
import type { Heartbeats } from "./heartbeats.ts";

interface Broker {
  readonly host: string;
  readonly port: number;
}

/** Connections of the library, as the coordinator needs them. */
export interface PlatformaticConnections {
  anyConnection(): Promise<Connection>;
  connectionTo(broker: Broker): Promise<Connection>;
  pool(requestTimeout: number): ConnectionPool;
  closePool(pool: ConnectionPool): Promise<void>;
}

/** The group protocol request by request, as Kafka 3.2 and later speak it. */
export class PlatformaticCoordinator implements GroupCoordinator {
  readonly #connections: PlatformaticConnections;
  readonly #settings: GroupSettings;
  readonly #heartbeats: Heartbeats;
  #broker: Promise<Broker> | undefined;

  constructor(connections: PlatformaticConnections, settings: GroupSettings, heartbeats: Heartbeats) {
    this.#connections = connections;
    this.#settings = settings;
    this.#heartbeats = heartbeats;
  }

  async joining(): Promise<JoinChannel> {
    const { rebalanceTimeout, sessionTimeout } = this.#settings;
    const pool = this.#connections.pool(rebalanceTimeout + sessionTimeout + 5000);
    try {
      const connection = await pool.get(await this.#find());
      return new PlatformaticJoin(connection, this.#settings, () => this.#connections.closePool(pool));
    } catch (error) {
      await this.#connections.closePool(pool);
      throw error;
    }
  }

  async heartbeat(member: MemberOf): Promise<void> {
    await this.#heartbeats.beat(await this.#find(), this.#settings.group, member);
  }

  async commit({ generation, member }: MemberOf, positions: readonly PartitionPosition[]): Promise<void> {
    const topics = [...Map.groupBy(positions, ({ topic }) => topic)].map(([name, partitions]) => ({
      name,
      partitions: partitions.map(({ partition, position, note }) => ({
        partitionIndex: partition,
        committedOffset: BigInt(position),
        committedLeaderEpoch: -1,
        committedMetadata: note ?? null,
      })),
    }));
    await offsetCommitV8.api.async(await this.#connection(), this.#settings.group, generation, member, null, topics);
  }

  async committed(partitions: readonly TopicPartitions[]): Promise<readonly PartitionPosition[]> {
    const topics = partitions.map(({ topic, partitions }) => ({ name: topic, partitionIndexes: [...partitions] }));
    const groups = [{ groupId: this.#settings.group, memberEpoch: -1, topics }];
    // Stable: a position that a transaction is about to write is waited for.
    const response = await offsetFetchV8.api.async(await this.#connection(), groups, true);
    return response.groups
      .flatMap((group) => group.topics)
      .flatMap(({ name, partitions }) =>
        partitions.map(({ partitionIndex, committedOffset, metadata }) => ({
          topic: name,
          partition: partitionIndex,
          position: Number(committedOffset),
          note: metadata ?? undefined,
        })),
      );
  }

  async leave(member: string): Promise<void> {
    await leaveGroupV5.api.async(await this.#connection(), this.#settings.group, [{ memberId: member }]);
  }

  forget(): void {
    this.#broker = undefined;
  }

  async #connection(): Promise<Connection> {
    return await this.#connections.connectionTo(await this.#find());
  }

  async #find(): Promise<Broker> {
    const finding = (this.#broker ??= this.#findAnew());
    try {
      return await finding;
    } catch (error) {
      if (this.#broker === finding) this.#broker = undefined;
      throw error;
    }
  }

  async #findAnew(): Promise<Broker> {
    const { group } = this.#settings;
    const response = await findCoordinatorV4.api.async(await this.#connections.anyConnection(), FindCoordinatorKeyTypes.GROUP, [group]);
    const coordinator = response.coordinators[0];
    if (coordinator === undefined) throw new Error(`no coordinator for group ${group}`);
    return coordinator;
  }
}

class PlatformaticJoin implements JoinChannel {
  readonly #connection: Connection;
  readonly #settings: GroupSettings;
  readonly #close: () => Promise<void>;

  constructor(connection: Connection, settings: GroupSettings, close: () => Promise<void>) {
    this.#connection = connection;
    this.#settings = settings;
    this.#close = close;
  }

  async join(member: string, assignor: string, onNamed: (member: string) => void): Promise<Joined> {
    const joined = await this.#join(member, assignor).catch(async (error: unknown) => {
      // The broker's answer to a first join: the name to join with (KIP-394).
      const named = (error as { response?: { memberId?: string } }).response?.memberId;
      if (brokerErrorName(error) !== "MEMBER_ID_REQUIRED" || named === undefined) throw error;
      onNamed(named);
      return await this.#join(named, assignor);
    });
    return {
      member: joined.memberId,
      generation: joined.generationId,
      members: joined.members.map(({ memberId, metadata }) => ({
        id: memberId,
        topics: decodeConsumerProtocolSubscription(metadata).topics,
      })),
    };
  }

  async #join(member: string, assignor: string) {
    const { group, topics, sessionTimeout, rebalanceTimeout } = this.#settings;
    const protocol = { name: assignor, metadata: encodeConsumerProtocolSubscription({ version: 0, topics: [...topics] }) };
    return await joinGroupV9.api.async(
      this.#connection,
      group,
      sessionTimeout,
      rebalanceTimeout,
      member,
      null,
      "consumer",
      [protocol],
      null,
    );
  }

  async sync(
    joined: Joined,
    assignor: string,
    shares: ReadonlyMap<string, readonly TopicPartitions[]>,
  ): Promise<readonly TopicPartitions[]> {
    const { generation, member } = joined;
    const assignments = [...shares].map(([memberId, partitions]) => ({ memberId, assignment: encodeShare(partitions) }));
    const synced = await syncGroupV5.api.async(
      this.#connection,
      this.#settings.group,
      generation,
      member,
      null,
      "consumer",
      assignor,
      assignments,
    );
    return decodeConsumerProtocolAssignment(synced.assignment).assignedPartitions;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#close();
  }
}

function encodeShare(share: readonly TopicPartitions[]): Buffer {
  const assignedPartitions = share.map(({ topic, partitions }) => ({ topic, partitions: [...partitions] }));
  return encodeConsumerProtocolAssignment({ version: 0, assignedPartitions, userData: null });
}
