import type { KafkaDriver, PartitionPosition } from "./driver.ts";
import type { Generation, Membership, Standing } from "./group-member.ts";

/** Every partition for one reader alone: nothing is joined and nothing committed, so nobody is disturbed and no session expires. */
export class NoGroup implements Membership {
  readonly #driver: KafkaDriver;
  readonly #topics: readonly string[];

  constructor(driver: KafkaDriver, topics: readonly string[]) {
    this.#driver = driver;
    this.#topics = topics;
  }

  async join(): Promise<Generation> {
    const topics = [...(await this.#driver.topics(this.#topics)).values()];
    return {
      member: "",
      generation: 0,
      assigned: topics.map(({ name, leaders }) => ({ topic: name, partitions: [...leaders.keys()] })),
      counts: new Map(topics.map(({ name, leaders }) => [name, leaders.length])),
    };
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
