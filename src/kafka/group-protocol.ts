/**
 * The classic group protocol, request by request, on a connection of @platformatic/kafka. The library's own membership
 * rejoins behind one's back when a commit is refused, and then writes the old position in the name of the new generation;
 * here each commit says which generation it belongs to, so that the broker itself refuses it.
 * Protocol: https://cwiki.apache.org/confluence/display/KAFKA/Kafka+Client-side+Assignment+Proposal
 */
import {
  type Connection,
  type ConnectionPool,
  decodeConsumerProtocolAssignment,
  decodeConsumerProtocolSubscription,
  encodeConsumerProtocolAssignment,
  encodeConsumerProtocolSubscription,
  FindCoordinatorKeyTypes,
  findCoordinatorV4,
  heartbeatV4,
  joinGroupV9,
  leaveGroupV5,
  offsetCommitV8,
  offsetFetchV8,
  syncGroupV5,
} from "@platformatic/kafka";

import type { Position } from "../batch.ts";
import { brokerErrorName } from "./broker-errors.ts";
import { assignRoundRobin, ASSIGNOR, type TopicPartitions } from "./group-assignment.ts";
import type { PlatformaticCluster } from "./platformatic-cluster.ts";

/** One membership between two rebalances: what is assigned, and the identity that commits carry. */
export interface Generation {
  readonly id: number;
  readonly member: string;
  readonly leader: boolean;
  readonly assigned: readonly TopicPartitions[];
  /** How many partitions each topic had when the leader shared them out. */
  readonly counts: ReadonlyMap<string, number>;
}

export interface GroupSettings {
  readonly group: string;
  readonly topics: readonly string[];
  readonly sessionTimeout: number;
  readonly rebalanceTimeout: number;
}

export interface PartitionPosition {
  readonly topic: string;
  readonly partition: number;
  readonly position: Position;
}

/** What a heartbeat or commit says about the membership. */
export type Standing = "member" | "rebalancing" | "expelled";

/** A place among the members of a group. Every method throws when the coordinator can't be worked with. */
export interface Membership {
  /**
   * Joins, which ends this member's part in the last generation, and takes over its share. Waits in the broker until all
   * members have joined.
   */
  join(): Promise<Generation>;
  heartbeat(generation: Generation): Promise<Standing>;
  /** Writes positions in the name of that generation, which the broker compares with the group's. */
  commit(generation: Generation, positions: readonly PartitionPosition[]): Promise<Standing>;
  /** The committed positions of partitions; those without one are left out. */
  committed(partitions: readonly TopicPartitions[]): Promise<readonly PartitionPosition[]>;
  /** Leaves, so that the others need not wait for the session to expire. */
  leave(): Promise<void>;
}

/** Broker errors after which this generation may do nothing more. */
const EXPELLED = new Set(["UNKNOWN_MEMBER_ID", "ILLEGAL_GENERATION", "FENCED_INSTANCE_ID"]);

export class GroupProtocol implements Membership {
  readonly #cluster: PlatformaticCluster;
  readonly #settings: GroupSettings;
  #coordinator: { host: string; port: number } | undefined;
  /** As the broker named us; empty before the first join and after an expulsion. */
  #member = "";

  constructor(cluster: PlatformaticCluster, settings: GroupSettings) {
    this.#cluster = cluster;
    this.#settings = settings;
  }

  async join(): Promise<Generation> {
    // Joining waits in the broker, and would hold up other requests of its connection.
    const pool = this.#cluster.pool(this.#settings.rebalanceTimeout + this.#settings.sessionTimeout + 5000);
    try {
      return await this.#onCoordinator(() => this.#join(pool));
    } catch (error) {
      if (EXPELLED.has(brokerErrorName(error) ?? "")) this.#member = "";
      throw error;
    } finally {
      await this.#cluster.closePool(pool);
    }
  }

  async #join(pool: ConnectionPool): Promise<Generation> {
    const { group, topics } = this.#settings;
    const connection = await this.#connection(pool);
    const joined = await this.#joinRequest(connection);
    this.#member = joined.memberId;
    const leader = joined.leader === joined.memberId;
    let counts = new Map<string, number>();
    let shares: { memberId: string; assignment: Buffer }[] = [];
    if (leader) {
      const members = joined.members.map(({ memberId, metadata }) => ({
        id: memberId,
        topics: decodeConsumerProtocolSubscription(metadata).topics,
      }));
      const wanted = [...new Set([...topics, ...members.flatMap((member) => member.topics)])];
      counts = new Map([...(await this.#cluster.topics(wanted))].map(([name, topic]) => [name, topic.leaders.length]));
      shares = [...assignRoundRobin(members, counts)].map(([memberId, assignedPartitions]) => ({
        memberId,
        assignment: encodeConsumerProtocolAssignment({ version: 0, assignedPartitions: assignedPartitions.map(mutable), userData: null }),
      }));
    }
    const synced = await syncGroupV5.api.async(connection, group, joined.generationId, joined.memberId, null, "consumer", ASSIGNOR, shares);
    const assigned = decodeConsumerProtocolAssignment(synced.assignment).assignedPartitions;
    return { id: joined.generationId, member: joined.memberId, leader, assigned, counts };
  }

  async #joinRequest(connection: Connection) {
    const { group, topics, sessionTimeout, rebalanceTimeout } = this.#settings;
    const metadata = encodeConsumerProtocolSubscription({ version: 0, topics: [...topics] });
    const request = async (member: string) =>
      await joinGroupV9.api.async(
        connection,
        group,
        sessionTimeout,
        rebalanceTimeout,
        member,
        null,
        "consumer",
        [{ name: ASSIGNOR, metadata }],
        null,
      );
    try {
      return await request(this.#member);
    } catch (error) {
      // The broker's answer to a first join: the name to join with (KIP-394).
      if (brokerErrorName(error) !== "MEMBER_ID_REQUIRED") throw error;
      const named = (error as { response?: { memberId?: string } }).response?.memberId;
      if (named === undefined) throw error;
      this.#member = named;
      return await request(named);
    }
  }

  async heartbeat(generation: Generation): Promise<Standing> {
    return await this.#standing(async () => {
      await heartbeatV4.api.async(await this.#connection(), this.#settings.group, generation.id, generation.member, null);
    });
  }

  async commit(generation: Generation, positions: readonly PartitionPosition[]): Promise<Standing> {
    const topics = [...Map.groupBy(positions, ({ topic }) => topic)].map(([name, partitions]) => ({
      name,
      partitions: partitions.map(({ partition, position }) => ({
        partitionIndex: partition,
        committedOffset: BigInt(position),
        committedLeaderEpoch: -1,
        committedMetadata: null,
      })),
    }));
    return await this.#standing(async () => {
      await offsetCommitV8.api.async(await this.#connection(), this.#settings.group, generation.id, generation.member, null, topics);
    });
  }

  async #standing(request: () => Promise<void>): Promise<Standing> {
    try {
      await this.#onCoordinator(request);
      return "member";
    } catch (error) {
      const name = brokerErrorName(error) ?? "";
      if (name === "REBALANCE_IN_PROGRESS") return "rebalancing";
      if (!EXPELLED.has(name)) throw error;
      this.#member = "";
      return "expelled";
    }
  }

  async committed(partitions: readonly TopicPartitions[]): Promise<readonly PartitionPosition[]> {
    const topics = partitions.map(({ topic, partitions }) => ({ name: topic, partitionIndexes: [...partitions] }));
    const response = await this.#onCoordinator(
      async () =>
        // Stable: a position that a transaction is about to write is waited for.
        await offsetFetchV8.api.async(await this.#connection(), [{ groupId: this.#settings.group, memberEpoch: -1, topics }], true),
    );
    return response.groups
      .flatMap((group) => group.topics)
      .flatMap(({ name, partitions }) =>
        partitions.map(({ partitionIndex, committedOffset }) => ({
          topic: name,
          partition: partitionIndex,
          position: Number(committedOffset),
        })),
      )
      .filter(({ position }) => position >= 0);
  }

  async leave(): Promise<void> {
    const member = this.#member;
    if (member === "") return;
    this.#member = "";
    await leaveGroupV5.api.async(await this.#connection(), this.#settings.group, [{ memberId: member }]);
  }

  async #connection(pool?: ConnectionPool): Promise<Connection> {
    this.#coordinator ??= await this.#findCoordinator();
    return pool === undefined ? await this.#cluster.connectionTo(this.#coordinator) : await pool.get(this.#coordinator);
  }

  async #findCoordinator(): Promise<{ host: string; port: number }> {
    const { group } = this.#settings;
    const response = await findCoordinatorV4.api.async(await this.#cluster.anyConnection(), FindCoordinatorKeyTypes.GROUP, [group]);
    const coordinator = response.coordinators[0];
    if (coordinator === undefined) throw new Error(`no coordinator for group ${group}`);
    return coordinator;
  }

  /** Looks for the coordinator anew after an error that is not about the membership. */
  async #onCoordinator<R>(request: () => Promise<R>): Promise<R> {
    try {
      return await request();
    } catch (error) {
      const name = brokerErrorName(error) ?? "";
      if (name !== "REBALANCE_IN_PROGRESS" && !EXPELLED.has(name)) this.#coordinator = undefined;
      throw error;
    }
  }
}

function mutable({ topic, partitions }: TopicPartitions): { topic: string; partitions: number[] } {
  return { topic, partitions: [...partitions] };
}
