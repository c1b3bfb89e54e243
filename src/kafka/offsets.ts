import type { Position } from "../batch.ts";
import type { BrokerOffsets, PartitionOffsets } from "../broker-offsets.ts";
import { sleep, systemClock } from "../clock.ts";
import type { KafkaConnection } from "../connections.ts";
import { InfrastructureError, MillraceError } from "../errors.ts";
import { brokerErrorName, brokerTrouble, leaderless } from "./broker-errors.ts";
import type { ConsumerContext } from "./consumer.ts";
import { createDriver } from "./consumer.ts";
import type { GroupCoordinator, KafkaDriver } from "./driver.ts";
import type { LogRange } from "./out-of-range.ts";

const REQUEST_TIMEOUT = 10_000;
/** How a commit is refused of who is no member, while a group has members. */
const IN_USE: ReadonlySet<string | undefined> = new Set(["UNKNOWN_MEMBER_ID", "ILLEGAL_GENERATION", "REBALANCE_IN_PROGRESS"]);
/** What passes by itself within seconds: a broker that makes its first group, or that another takes over from. */
const PASSING: ReadonlySet<string | undefined> = new Set(["COORDINATOR_NOT_AVAILABLE", "COORDINATOR_LOAD_IN_PROGRESS", "NOT_COORDINATOR"]);
const PAUSE = 250;
const PATIENCE = 20_000;
/** A request from outside a group. */
const NO_MEMBER = { member: "", generation: -1 };

/** A consumer group's offsets, and those of its topics. Nothing is joined. Outages are told, not waited out, but for the moments in which a group changes its broker. */
export class KafkaOffsets implements BrokerOffsets {
  readonly #topics: readonly string[];
  readonly #group: string;
  readonly #connection: KafkaConnection;
  readonly #driver: KafkaDriver;
  readonly #coordinator: GroupCoordinator;
  readonly #closing = new AbortController();

  private constructor(topics: readonly string[], group: string, connection: KafkaConnection, driver: KafkaDriver) {
    this.#topics = topics;
    this.#group = group;
    this.#connection = connection;
    this.#driver = driver;
    // Nobody joins, so the times mean nothing.
    this.#coordinator = driver.coordinator({ group, topics, sessionTimeout: REQUEST_TIMEOUT, rebalanceTimeout: REQUEST_TIMEOUT });
  }

  static async open(
    topics: readonly string[],
    group: string,
    { connection, ...context }: Pick<ConsumerContext, "connection" | "clientId" | "logger" | "shared">,
  ): Promise<KafkaOffsets> {
    const settings = { clientId: context.clientId, requestTimeout: REQUEST_TIMEOUT };
    return new KafkaOffsets(topics, group, connection, await createDriver(connection, settings, context));
  }

  async read(): Promise<readonly PartitionOffsets[]> {
    const ranges = await this.#ranges();
    const asked = [...Map.groupBy(ranges.values(), ({ topic }) => topic)].map(([topic, some]) => ({
      topic,
      partitions: some.map(({ partition }) => partition),
    }));
    const committed = await this.#ask(() => this.#coordinator.committed(asked));
    const known = new Map(committed.map(({ topic, partition, position }) => [`${topic}/${partition}`, position]));
    return [...ranges].map(([name, { first, end }]) => {
      const position = known.get(name) ?? -1;
      return { partition: name, committed: position < 0 ? undefined : position, first, end };
    });
  }

  async at(time: number): Promise<ReadonlyMap<string, Position>> {
    return new Map([...(await this.#ranges(time))].map(([name, { first }]) => [name, first]));
  }

  async commit(positions: ReadonlyMap<string, Position>): Promise<void> {
    const wanted = [...positions].map(([name, position]) => {
      const at = name.lastIndexOf("/");
      return { topic: name.slice(0, at), partition: Number(name.slice(at + 1)), position };
    });
    try {
      await this.#ask(() => this.#coordinator.commit(NO_MEMBER, wanted));
    } catch (error) {
      if (!IN_USE.has(brokerErrorName(error))) throw error;
      const what = `the group "${this.#group}" has members, which would go on from where they are: stop the task everywhere first`;
      throw new MillraceError(what, { cause: error });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    await this.#driver[Symbol.asyncDispose]();
  }

  async #ranges(since?: number): Promise<ReadonlyMap<string, LogRange & { readonly topic: string; readonly partition: number }>> {
    const found = new Map<string, LogRange & { readonly topic: string; readonly partition: number }>();
    for (const topic of this.#topics) {
      const layout = (await this.#ask(() => this.#driver.topics([topic]))).get(topic);
      const all = [...(layout?.leaders ?? []).keys()];
      const ranges = await this.#ask(() => this.#driver.ranges(topic, all, since));
      for (const partition of all) {
        const range = ranges.get(partition);
        if (range === undefined) throw new InfrastructureError(leaderless(`${topic}/${partition}`));
        found.set(`${topic}/${partition}`, { ...range, topic, partition });
      }
    }
    return found;
  }

  async #ask<R>(request: () => Promise<R>): Promise<R> {
    const patient = systemClock.now() + PATIENCE;
    for (;;) {
      try {
        return await request();
      } catch (error) {
        if (error instanceof MillraceError) throw error;
        if (!PASSING.has(brokerErrorName(error)) || systemClock.now() > patient) throw this.#trouble(error);
        this.#coordinator.forget();
        await sleep(PAUSE, this.#closing.signal, systemClock);
      }
    }
  }

  #trouble(error: unknown): InfrastructureError {
    return new InfrastructureError(brokerTrouble(error, this.#connection), { cause: error });
  }
}
