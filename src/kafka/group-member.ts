/**
 * Membership in a consumer group by the classic protocol. The clients' own rejoin behind one's back: one of them when a
 * commit is refused, and then writes the old position in the name of the new generation. Here each commit carries the
 * generation that it belongs to, so that the broker itself refuses it.
 * Protocol: https://cwiki.apache.org/confluence/display/KAFKA/Kafka+Client-side+Assignment+Proposal
 */
import { brokerErrorName } from "./broker-errors.ts";
import type { GroupCoordinator, GroupSettings, KafkaDriver, MemberOf, PartitionPosition } from "./driver.ts";
import { assignRoundRobin, ASSIGNOR, type TopicPartitions } from "./group-assignment.ts";

/** One membership between two rebalances: what is assigned, and the identity that commits carry. */
export interface Generation extends MemberOf {
  readonly assigned: readonly TopicPartitions[];
  /** How many partitions each topic had when this member, as the leader, shared them out; empty for others. */
  readonly counts: ReadonlyMap<string, number>;
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

/** Broker errors after which a member has to join under a new name. */
const UNKNOWN = new Set(["UNKNOWN_MEMBER_ID", "FENCED_INSTANCE_ID"]);
/** Broker errors after which a generation may do nothing more. */
const EXPELLED = new Set([...UNKNOWN, "ILLEGAL_GENERATION"]);

export class GroupMember implements Membership {
  readonly #driver: KafkaDriver;
  readonly #coordinator: GroupCoordinator;
  readonly #settings: GroupSettings;
  /** As the broker named us; empty before the first join and after an expulsion. */
  #member = "";

  constructor(driver: KafkaDriver, settings: GroupSettings) {
    this.#driver = driver;
    this.#settings = settings;
    this.#coordinator = driver.coordinator(settings);
  }

  async join(): Promise<Generation> {
    return await this.#request(this.#member, async () => {
      await using channel = await this.#coordinator.joining();
      const joined = await channel.join(this.#member, ASSIGNOR, (member) => {
        this.#member = member;
      });
      this.#member = joined.member;
      const counts =
        joined.members.length === 0 ? new Map<string, number>() : await this.#counts(joined.members.flatMap(({ topics }) => topics));
      const assigned = await channel.sync(joined, ASSIGNOR, assignRoundRobin(joined.members, counts));
      return { member: joined.member, generation: joined.generation, assigned, counts };
    });
  }

  async #counts(wanted: readonly string[]): Promise<ReadonlyMap<string, number>> {
    const topics = await this.#driver.topics([...new Set([...this.#settings.topics, ...wanted])]);
    return new Map([...topics].map(([name, { leaders }]) => [name, leaders.length]));
  }

  async heartbeat(generation: Generation): Promise<Standing> {
    return await this.#standing(generation.member, () => this.#coordinator.heartbeat(generation));
  }

  async commit(generation: Generation, positions: readonly PartitionPosition[]): Promise<Standing> {
    return await this.#standing(generation.member, () => this.#coordinator.commit(generation, positions));
  }

  async committed(partitions: readonly TopicPartitions[]): Promise<readonly PartitionPosition[]> {
    const positions = await this.#request(this.#member, () => this.#coordinator.committed(partitions));
    return positions.filter(({ position }) => position >= 0);
  }

  async leave(): Promise<void> {
    const member = this.#member;
    if (member === "") return;
    this.#member = "";
    await this.#coordinator.leave(member);
  }

  async #standing(member: string, request: () => Promise<void>): Promise<Standing> {
    try {
      await this.#request(member, request);
      return "member";
    } catch (error) {
      const name = brokerErrorName(error) ?? "";
      if (name === "REBALANCE_IN_PROGRESS") return "rebalancing";
      if (EXPELLED.has(name)) return "expelled";
      throw error;
    }
  }

  async #request<R>(member: string, request: () => Promise<R>): Promise<R> {
    try {
      return await request();
    } catch (error) {
      const name = brokerErrorName(error) ?? "";
      // A late answer to an earlier self says nothing about this one.
      if (UNKNOWN.has(name) && member === this.#member) this.#member = "";
      if (!EXPELLED.has(name) && name !== "REBALANCE_IN_PROGRESS") this.#coordinator.forget();
      throw error;
    }
  }
}
