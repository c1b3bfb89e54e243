import type { Position } from "../batch.ts";
import { type Clock, sleep, within } from "../clock.ts";
import { InfrastructureError, messageOf, NotReadyError } from "../errors.ts";
import type { AssignedPartition, Start } from "./assigned-partition.ts";
import { Assignment } from "./assignment.ts";
import { Availability } from "./availability.ts";
import { brokerErrorName, brokerTrouble } from "./broker-errors.ts";
import type { ConsumerContext, ConsumerSettings, KafkaConsumer } from "./consumer.ts";
import type { KafkaDriver, TopicInfo } from "./driver.ts";
import { STATE_KEPT } from "./driver.ts";
import { Fetcher } from "./fetcher.ts";
import { type Generation, GroupMember, type Membership, type Standing } from "./group-member.ts";
import { MissingTopics } from "./missing-topics.ts";
import { NoGroup } from "./no-group.ts";
import { Outbox } from "./outbox.ts";
import { PositionFinder } from "./position-finder.ts";
import { unlessAborted } from "./waiting.ts";

const FIRST_PAUSE = 250;
const LONGEST_PAUSE = 5000;
/** How often the leader of a group looks whether a topic has more partitions by now. */
const TOPICS_INTERVAL = 60_000;
/** A topic is believed to be gone when it is missing for that long: a broker that has just come up may not know it yet. */
const BELIEVE_MISSING = 5000;
/** How long leaving the group may take when the consumer is closed. */
const LEAVING = 3000;
/** How long closing connections may take. */
const CLOSING = 1000;
/** The part that fails when the group's coordinator can't be worked with. */
const GROUP = "group";

const EXPELLED = "the group expelled this member: the broker did not hear of it for the session timeout, or waited for it in vain";
/** The part that fails when positions can't be written. */
const COMMITS = "commits";

/** The consumer, over either client's driver. */
export class GroupConsumer implements KafkaConsumer {
  readonly #settings: ConsumerSettings;
  readonly #context: ConsumerContext;
  readonly #driver: KafkaDriver;
  readonly #membership: Membership;
  readonly #availability: Availability;
  readonly #positions: PositionFinder;
  readonly #outbox = new Outbox<AssignedPartition>();
  readonly #closing = new AbortController();
  /** Aborts when there is no point in going on. */
  readonly #failed = new AbortController();
  /** Aborts when the group is not waited for any more. */
  readonly #closed = new AbortController();
  /** The last partition of each name, until it was disposed of. */
  readonly #open = new Map<string, AssignedPartition>();
  #running: Promise<void> | undefined;
  #assignment: Assignment | undefined;
  #missingSince: number | undefined;
  /** Topics that do not exist any more: there is nothing to commit to. */
  #gone: ReadonlySet<string> = new Set();

  /** @param driver belongs to the consumer */
  constructor(settings: ConsumerSettings, context: ConsumerContext, driver: KafkaDriver) {
    this.#settings = settings;
    this.#context = context;
    this.#driver = driver;
    const { group, topics } = settings;
    this.#membership = group === undefined ? new NoGroup(driver, topics) : new GroupMember(driver, { ...settings, group });
    const subject = group === undefined ? topics.join(", ") : `${topics.join(", ")} (group ${group})`;
    this.#availability = new Availability(`reading ${subject}`, context.logger, (reason) => context.waiting(reason));
    const closing = this.#closing.signal;
    this.#positions = new PositionFinder(settings, context, {
      driver,
      membership: this.#membership,
      availability: this.#availability,
      closing,
    });
  }

  lag(): number | undefined {
    return this.#assignment?.lag;
  }

  async *partitions(stop: AbortSignal): AsyncGenerator<AssignedPartition, void, undefined> {
    const over = AbortSignal.any([stop, this.#context.signal, this.#closing.signal, this.#failed.signal]);
    const close = () => this.#outbox.close();
    over.addEventListener("abort", close, { once: true });
    if (over.aborted) return;
    this.#running = this.#run(over).catch((error: unknown) => this.#outbox.close(error));
    yield* this.#outbox;
  }

  /** Joins again and again, until it is over; then leaves. */
  async #run(over: AbortSignal): Promise<void> {
    try {
      for (let pause = 0; !over.aborted;) pause = await this.#attempt(over, pause);
    } finally {
      const leaving = this.#membership.leave().catch(() => {});
      await unlessAborted(leaving, this.#closed.signal);
    }
  }

  /** One generation, or a try for one. @returns how long the last pause after a failure was */
  async #attempt(over: AbortSignal, lastPause: number): Promise<number> {
    try {
      const topics = await unlessAborted(this.#topics(), over);
      const generation = topics === undefined ? undefined : await unlessAborted(this.#membership.join(), over);
      if (topics === undefined || generation === undefined) return 0;
      this.#positions.sees(topics);
      this.#availability.up(GROUP);
      await this.#work(generation, topics, over);
      return 0;
    } catch (error) {
      if (error instanceof NotReadyError) throw error;
      if (brokerErrorName(error) === "REBALANCE_IN_PROGRESS") {
        // Another member came or went meanwhile. Joining waits in the broker, so no pause is needed.
        this.#context.logger.debug({}, "the group is being rebalanced once more; joining again");
        return 0;
      }
      this.#availability.down(GROUP, brokerTrouble(error, this.#context.connection));
      const pause = lastPause === 0 ? FIRST_PAUSE : Math.min(lastPause * 2, LONGEST_PAUSE);
      await sleep(pause, over, this.#context.clock).catch(() => {});
      return pause;
    }
  }

  /** The topics as they are, made when they are missing and the settings say so. */
  async #topics(): Promise<ReadonlyMap<string, TopicInfo>> {
    const { topics, create } = this.#settings;
    try {
      return await this.#driver.topics(topics);
    } catch (error) {
      if (!(error instanceof MissingTopics) || create === undefined) throw error;
      await this.#driver.create(error.topics, create);
      this.#context.logger.info({ topics: error.topics }, "topics created");
    }
    // What was made just now may take a moment to be known, which is no reason to give up.
    return await this.#driver.topics(topics).catch((error: unknown) => {
      throw new InfrastructureError(messageOf(error));
    });
  }

  /** One generation: until its partitions were handed over, or lost. */
  async #work(generation: Generation, topics: ReadonlyMap<string, TopicInfo>, over: AbortSignal): Promise<void> {
    const fetcher = this.#fetcher(topics);
    const assignment = this.#assign(generation, fetcher, editionsOf(topics));
    const ended = new AbortController();
    assignment.lost.addEventListener("abort", () => ended.abort(), { once: true });
    let cancelDeadline: (() => void) | undefined;
    const drain = () => {
      this.#drain(assignment);
      void assignment.drained.then(() => ended.abort());
    };
    const handOver = () => {
      if (cancelDeadline !== undefined) return;
      const patience = this.#settings.rebalanceTimeout * 0.9 - this.#settings.heartbeatInterval;
      const why = `what was read was not written within the rebalance timeout of ${this.#settings.rebalanceTimeout} ms`;
      cancelDeadline = this.#context.clock.after(patience, () => assignment.lose(why));
      drain();
    };
    over.addEventListener("abort", drain, { once: true });
    if (over.aborted) drain();
    try {
      await this.#keepUp(generation, assignment, ended.signal, handOver);
    } finally {
      cancelDeadline?.();
      over.removeEventListener("abort", drain);
      void fetcher[Symbol.asyncDispose]();
    }
  }

  /** Heartbeats, also while partitions are being handed over, until that has ended. */
  async #keepUp(generation: Generation, assignment: Assignment, ended: AbortSignal, handOver: () => void): Promise<void> {
    let topicsAt = this.#context.clock.elapsed() + TOPICS_INTERVAL;
    for (;;) {
      await sleep(untilNext(this.#settings.heartbeatInterval, this.#context.clock), ended, this.#context.clock).catch(() => {});
      if (ended.aborted) return;
      const standing = await this.#heartbeat(generation);
      if (standing === "expelled") assignment.lose(EXPELLED);
      else if (standing === "rebalancing") handOver();
      else if (generation.counts.size > 0 && this.#context.clock.elapsed() >= topicsAt) {
        topicsAt = this.#context.clock.elapsed() + TOPICS_INTERVAL;
        if (await this.#topicsGrew(generation)) handOver();
      }
    }
  }

  async #heartbeat(generation: Generation): Promise<Standing | undefined> {
    try {
      const standing = await this.#membership.heartbeat(generation);
      this.#availability.up(GROUP);
      return standing;
    } catch (error) {
      this.#availability.down(GROUP, brokerTrouble(error, this.#context.connection));
      return undefined;
    }
  }

  async #topicsGrew({ counts }: Generation): Promise<boolean> {
    try {
      const topics = await this.#driver.topics([...counts.keys()]);
      return [...topics].some(([name, { leaders }]) => leaders.length !== counts.get(name));
    } catch {
      return false;
    }
  }

  #fetcher(topics: ReadonlyMap<string, TopicInfo>): Fetcher {
    const { clock, connection } = this.#context;
    const { keyEncoding } = this.#settings;
    return new Fetcher(
      this.#driver.fetching(),
      topics,
      { clock, keyEncoding },
      {
        down: (part, error) => this.#availability.down(part, brokerTrouble(error, connection)),
        up: (part) => this.#availability.up(part),
        outOfRange: async (partition) => {
          if (this.#assignment !== undefined) await this.#positions.recover(this.#assignment, partition);
        },
        relayout: () => this.#relayout(),
        replaced: (topic, partitions) => this.#replaced(topic, partitions),
      },
    );
  }

  #assign(generation: Generation, fetcher: Fetcher, editions: ReadonlyMap<string, string>): Assignment {
    const { clock, signal, logger } = this.#context;
    const { group, maxWaiting } = this.#settings;
    const holder = group === undefined ? undefined : { group, member: generation.member, generation: generation.generation };
    let starts: ReadonlyMap<string, Promise<Start>> | undefined;
    const assignment: Assignment = new Assignment(
      generation.assigned,
      { maxWaiting, clock, holder, editions, giveUp: AbortSignal.any([signal, this.#closing.signal]) },
      {
        startOf: async (partition) => {
          starts ??= this.#positions.starts(assignment);
          return (await starts.get(partition.name)) ?? { position: 0, committed: false };
        },
        wants: (partition) => fetcher.wants(partition),
        disposed: (partition) => fetcher.remove(partition),
        write: (partitions) => this.#write(generation, assignment, partitions),
      },
    );
    this.#assignment = assignment;
    logger.debug({ generation: generation.generation, partitions: assignment.partitions.map(({ name }) => name) }, "partitions assigned");
    for (const partition of assignment.partitions) this.#offer(partition);
    return assignment;
  }

  /** Hands a partition out, behind the last one of its name. */
  #offer(partition: AssignedPartition): void {
    const before = this.#open.get(partition.name);
    this.#open.set(partition.name, partition);
    void partition.disposed.then(() => {
      if (this.#open.get(partition.name) === partition) this.#open.delete(partition.name);
    });
    const offer = () => {
      if (partition.ending) void partition[Symbol.asyncDispose]();
      else this.#outbox.put(partition);
    };
    if (before === undefined) offer();
    else void before.disposed.then(offer);
  }

  #drain(assignment: Assignment): void {
    // Nobody works on what was not taken yet.
    for (const partition of this.#outbox.withdraw()) void partition[Symbol.asyncDispose]();
    assignment.end();
  }

  async #write(generation: Generation, assignment: Assignment, partitions: readonly AssignedPartition[]): Promise<void> {
    const positions = new Map<AssignedPartition, Position>();
    for (const partition of partitions) {
      const { uncommitted } = partition;
      if (uncommitted === undefined) continue;
      if (this.#gone.has(partition.topic)) partition.wrote(uncommitted);
      else positions.set(partition, uncommitted);
    }
    if (positions.size === 0) return;
    const request = [...positions].map(([{ topic, number, kept }, position]) => ({
      topic,
      partition: number,
      position,
      note: kept && STATE_KEPT,
    }));
    const standing = await this.#membership.commit(generation, request).catch((error: unknown) => {
      this.#availability.down(COMMITS, brokerTrouble(error, this.#context.connection));
      throw error;
    });
    this.#availability.up(COMMITS);
    if (standing === "expelled") assignment.lose(EXPELLED);
    else if (standing === "rebalancing") throw new InfrastructureError("the group is being rebalanced");
    else for (const [partition, position] of positions) partition.wrote(position);
  }

  async #relayout(): Promise<ReadonlyMap<string, TopicInfo>> {
    try {
      const topics = await this.#driver.topics(this.#settings.topics);
      this.#missingSince = undefined;
      return topics;
    } catch (error) {
      const now = this.#context.clock.elapsed();
      if (error instanceof NotReadyError) {
        this.#missingSince ??= now;
        if (now - this.#missingSince >= BELIEVE_MISSING) {
          if (error instanceof MissingTopics) this.#gone = new Set(error.topics);
          this.#outbox.close(error);
          this.#failed.abort();
        }
      }
      throw error;
    }
  }

  /** The offsets of the topic's partitions now mean other records. */
  #replaced(topic: string, partitions: number): void {
    const error = new InfrastructureError(
      `Kafka topic ${JSON.stringify(topic)} was deleted and made anew while it was read: its offsets mean other records`,
    );
    for (const partition of this.#assignment?.partitions ?? []) {
      if (partition.topic === topic) partition.replaced(error, partition.number < partitions);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    this.#assignment?.lose("the consumer was closed");
    if (this.#running !== undefined) await within(this.#running, LEAVING, this.#context.clock);
    this.#closed.abort();
    // A client that is just trying to connect does not let itself be stopped; it is not waited for.
    await within(this.#driver[Symbol.asyncDispose](), CLOSING, this.#context.clock);
  }
}

/** The ids of topics that stay with them until they are deleted; a client that does not know them names topics by their names. */
function editionsOf(topics: ReadonlyMap<string, TopicInfo>): ReadonlyMap<string, string> {
  return new Map([...topics.values()].filter(({ name, id }) => name !== id).map(({ name, id }) => [name, id]));
}

/** Milliseconds until an interval counted from the epoch ends, and at least half of one: so the members of a process beat together. */
function untilNext(interval: number, clock: Clock): number {
  const left = interval - (clock.now() % interval);
  return left < interval / 2 ? left + interval : left;
}
