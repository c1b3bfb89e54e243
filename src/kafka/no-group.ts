import type { TopicPartitions } from "./group-assignment.ts";
import type { Generation, Membership, PartitionPosition, Standing } from "./group-protocol.ts";
import type { PlatformaticCluster } from "./platformatic-cluster.ts";

/** Every partition for one reader alone: nothing is joined and nothing committed, so nobody is disturbed and no session expires. */
export class NoGroup implements Membership {
  readonly #cluster: PlatformaticCluster;
  readonly #topics: readonly string[];

  constructor(cluster: PlatformaticCluster, topics: readonly string[]) {
    this.#cluster = cluster;
    this.#topics = topics;
  }

  async join(): Promise<Generation> {
    const topics = [...(await this.#cluster.topics(this.#topics)).values()];
    const assigned: TopicPartitions[] = topics.map(({ name, leaders }) => ({ topic: name, partitions: [...leaders.keys()] }));
    return { id: 0, member: "", leader: true, assigned, counts: new Map(topics.map(({ name, leaders }) => [name, leaders.length])) };
  }

  heartbeat(): Promise<Standing> {
    return Promise.resolve("member");
  }

  commit(): Promise<Standing> {
    return Promise.resolve("member");
  }

  committed(): Promise<readonly PartitionPosition[]> {
    return Promise.resolve([]);
  }

  leave(): Promise<void> {
    return Promise.resolve();
  }
}
