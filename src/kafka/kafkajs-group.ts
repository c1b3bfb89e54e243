import kafkajs, { type Kafka } from "kafkajs";

import type { GroupCoordinator, GroupSettings, Joined, JoinChannel, MemberOf, PartitionPosition } from "./driver.ts";
import type { TopicPartitions } from "./group-assignment.ts";
import { byTopic, type GroupMemberOf, type KafkajsBroker, type KafkajsCluster, type OpenCluster, openCluster } from "./kafkajs-cluster.ts";

const { MemberAssignment, MemberMetadata } = kafkajs.AssignerProtocol;
const NO_DATA = Buffer.alloc(0);

/** The group protocol request by request, through kafkajs. */
export class KafkajsCoordinator implements GroupCoordinator {
  readonly #kafka: Kafka;
  readonly #cluster: KafkajsCluster;
  readonly #settings: GroupSettings;
  #broker: Promise<KafkajsBroker> | undefined;

  constructor(kafka: Kafka, cluster: KafkajsCluster, settings: GroupSettings) {
    this.#kafka = kafka;
    this.#cluster = cluster;
    this.#settings = settings;
  }

  async joining(): Promise<JoinChannel> {
    const { topics, group } = this.#settings;
    const open = openCluster(this.#kafka);
    try {
      await open.cluster.connect();
      await open.cluster.brokerPool.refreshMetadata(topics);
      return new KafkajsJoin(open, await open.cluster.findGroupCoordinator({ groupId: group }), this.#settings);
    } catch (error) {
      await open[Symbol.asyncDispose]();
      throw error;
    }
  }

  async heartbeat(member: MemberOf): Promise<void> {
    await (await this.#find()).heartbeat(this.#as(member));
  }

  async commit(member: MemberOf, positions: readonly PartitionPosition[]): Promise<void> {
    const topics = [...Map.groupBy(positions, ({ topic }) => topic)].map(([topic, partitions]) => ({
      topic,
      partitions: partitions.map(({ partition, position, note }) => ({ partition, offset: String(position), metadata: note ?? null })),
    }));
    await (await this.#find()).offsetCommit({ ...this.#as(member), topics });
  }

  async committed(partitions: readonly TopicPartitions[]): Promise<readonly PartitionPosition[]> {
    const topics = partitions.map(({ topic, partitions }) => ({ topic, partitions: partitions.map((partition) => ({ partition })) }));
    const { responses } = await (await this.#find()).offsetFetch({ groupId: this.#settings.group, topics });
    return responses.flatMap(({ topic, partitions }) =>
      partitions.map(({ partition, offset, metadata }) => ({ topic, partition, position: Number(offset), note: metadata ?? undefined })),
    );
  }

  async leave(member: string): Promise<void> {
    await (await this.#find()).leaveGroup({ groupId: this.#settings.group, memberId: member });
  }

  /** A connection that failed is closed as well: kafkajs would use it again. */
  forget(): void {
    const broker = this.#broker;
    this.#broker = undefined;
    broker?.then((found) => found.disconnect()).catch(() => {});
  }

  #as({ member, generation }: MemberOf): GroupMemberOf {
    return { groupId: this.#settings.group, groupGenerationId: generation, memberId: member };
  }

  async #find(): Promise<KafkajsBroker> {
    const finding = (this.#broker ??= this.#cluster.findGroupCoordinator({ groupId: this.#settings.group }));
    try {
      return await finding;
    } catch (error) {
      if (this.#broker === finding) this.#broker = undefined;
      throw error;
    }
  }
}

class KafkajsJoin implements JoinChannel {
  readonly #open: OpenCluster;
  readonly #broker: KafkajsBroker;
  readonly #settings: GroupSettings;

  constructor(open: OpenCluster, broker: KafkajsBroker, settings: GroupSettings) {
    this.#open = open;
    this.#broker = broker;
    this.#settings = settings;
  }

  async join(member: string, assignor: string): Promise<Joined> {
    const { group, topics, sessionTimeout, rebalanceTimeout } = this.#settings;
    const metadata = MemberMetadata.encode({ version: 0, topics: [...topics], userData: NO_DATA });
    const joined = await this.#broker.joinGroup({
      groupId: group,
      sessionTimeout,
      rebalanceTimeout,
      memberId: member,
      groupProtocols: [{ name: assignor, metadata }],
    });
    return {
      member: joined.memberId,
      generation: joined.generationId,
      members: joined.members.map(({ memberId, memberMetadata }) => ({
        id: memberId,
        topics: MemberMetadata.decode(memberMetadata)?.topics ?? [],
      })),
    };
  }

  async sync(
    { generation, member }: Joined,
    _assignor: string,
    shares: ReadonlyMap<string, readonly TopicPartitions[]>,
  ): Promise<readonly TopicPartitions[]> {
    const groupAssignment = [...shares].map(([memberId, share]) => ({
      memberId,
      memberAssignment: MemberAssignment.encode({ version: 0, assignment: byTopic(share), userData: NO_DATA }),
    }));
    const { memberAssignment } = await this.#broker.syncGroup({
      groupId: this.#settings.group,
      generationId: generation,
      memberId: member,
      groupAssignment,
    });
    const assignment = MemberAssignment.decode(memberAssignment)?.assignment ?? {};
    return Object.entries(assignment).map(([topic, partitions]) => ({ topic, partitions }));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open[Symbol.asyncDispose]();
  }
}
