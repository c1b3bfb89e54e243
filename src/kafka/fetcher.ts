import { type Clock, sleep } from "../clock.ts";
import { InfrastructureError } from "../errors.ts";
import type { AssignedPartition } from "./assigned-partition.ts";
import { leaderless } from "./broker-errors.ts";
import { type FetchChannel, FetchError, type PartitionReply, type PartitionRequest, type TopicInfo } from "./driver.ts";
import { endOfBatches, RecordBatches } from "./record-batches.ts";
import type { KeyEncoding } from "./record-text.ts";

/**
 * Bytes of one reply, over all partitions. It comes in pieces, and what is of one partition is put together: while it is little, the pieces are
 * still in the processor's caches, and the memory for it is used again.
 */
const REPLY_BYTES = 1_048_576;
/** An idle broker holds a fetch that long, in milliseconds: short at first, since a partition may begin to be read meanwhile. */
const SHORTEST_WAIT = 100;
const LONGEST_WAIT = 10_000;
/** While some partition is full nothing is waited for in the broker: it may be wanted the next moment. */
const LOOK_AGAIN = 25;
const FIRST_PAUSE = 100;
const LONGEST_PAUSE = 5000;

/** The part that fails when a leader does not answer. */
function fetchingFrom(node: number): string {
  return `fetching from ${node}`;
}

const OFFSET_OUT_OF_RANGE = 1;
/**
 * The leader moved, or is about to, or the topic is gone: UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE,
 * NOT_LEADER_OR_FOLLOWER, REPLICA_NOT_AVAILABLE, KAFKA_STORAGE_ERROR, FENCED_LEADER_EPOCH, UNKNOWN_LEADER_EPOCH,
 * OFFSET_NOT_AVAILABLE, UNKNOWN_TOPIC_ID, INCONSISTENT_TOPIC_ID.
 */
const LOOK_FOR_LEADER = new Set([3, 5, 6, 9, 56, 74, 75, 78, 100, 103]);
export interface FetcherEvents {
  /** Brokers, or one partition, can't be read from. */
  down(part: string, error: unknown): void;
  /** They can again. Called often. */
  up(part: string): void;
  /** The position is not in the log. Nothing of the partition is fetched until this settles. */
  outOfRange(partition: AssignedPartition): Promise<void>;
  /** The topics are not laid out as they were: the layout must be set anew. Settles when it is, throws when it can't be. */
  relayout(): Promise<ReadonlyMap<string, TopicInfo>>;
  /** A topic is not the one that it was when its partitions were assigned; it has so many partitions now. */
  replaced(topic: string, partitions: number): void;
}

/**
 * Fetches for the partitions of one assignment: one request at a time for each leader, naming only partitions that have
 * room. A partition that nobody reads is not asked for, and holds up no other.
 */
export class Fetcher implements AsyncDisposable {
  readonly #channel: FetchChannel;
  readonly #clock: Clock;
  readonly #keyEncoding: KeyEncoding;
  readonly #events: FetcherEvents;
  readonly #stop = new AbortController();
  readonly #nodes = new Map<number, LeaderNode>();
  readonly #partitions = new Map<string, AssignedPartition>();
  readonly #parked = new Set<AssignedPartition>();
  readonly #loops = new Set<Promise<void>>();
  #topics: ReadonlyMap<string, TopicInfo>;
  #relayout: Promise<void> | undefined;
  #scheduled = false;

  /** @param channel belongs to the fetcher */
  constructor(
    channel: FetchChannel,
    topics: ReadonlyMap<string, TopicInfo>,
    settings: { readonly clock: Clock; readonly keyEncoding: KeyEncoding },
    events: FetcherEvents,
  ) {
    this.#channel = channel;
    this.#topics = topics;
    this.#clock = settings.clock;
    this.#keyEncoding = settings.keyEncoding;
    this.#events = events;
  }

  /** The partition wants records: fetched from now on, until `remove`. */
  wants(partition: AssignedPartition): void {
    if (this.#stop.signal.aborted) return;
    this.#partitions.set(partition.name, partition);
    if (this.#scheduled) return;
    // Partitions that begin together are asked for together.
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#wakeNodes();
    });
  }

  remove(partition: AssignedPartition): void {
    if (this.#partitions.get(partition.name) !== partition) return;
    this.#partitions.delete(partition.name);
    this.#events.up(partition.name);
  }

  #wakeNodes(): void {
    if (this.#stop.signal.aborted) return;
    for (const partition of this.#partitions.values()) {
      const leader = this.#leader(partition);
      let node = this.#nodes.get(leader);
      if (node === undefined) {
        node = new LeaderNode(leader);
        this.#nodes.set(leader, node);
        const loop = this.#run(node).finally(() => this.#loops.delete(loop));
        this.#loops.add(loop);
      }
      node.wake();
    }
  }

  #leader(partition: AssignedPartition): number {
    return this.#topics.get(partition.topic)?.leaders[partition.number] ?? -1;
  }

  async #run(node: LeaderNode): Promise<void> {
    const signal = this.#stop.signal;
    while (!signal.aborted) {
      const { requests, full } = this.#requests(node);
      try {
        if (requests.length === 0) {
          // What it led has another leader, or none.
          this.#events.up(fetchingFrom(node.id));
          await node.woken(undefined, this.#clock, signal);
        } else if (node.id < 0) {
          await this.#lookAgain(node);
          this.#events.up(fetchingFrom(node.id));
          continue;
        } else {
          await this.#fetch(node, requests, full);
        }
        node.pause = 0;
      } catch (error) {
        if (signal.aborted) return;
        this.#events.down(fetchingFrom(node.id), error);
        await this.#lookAgain(node).catch(() => {});
      }
    }
  }

  /** Looks for the leaders after a pause, longer each time. */
  async #lookAgain(node: LeaderNode): Promise<void> {
    node.pause = node.pause === 0 ? FIRST_PAUSE : Math.min(node.pause * 2, LONGEST_PAUSE);
    await sleep(node.pause, this.#stop.signal, this.#clock);
    await this.#newLayout();
  }

  /** What can be asked of a node: its partitions with room, each time beginning with another. */
  #requests(node: LeaderNode): { readonly requests: readonly Asked[]; readonly full: boolean } {
    const requests: Asked[] = [];
    let full = false;
    for (const partition of this.#partitions.values()) {
      const topicId = this.#topics.get(partition.topic)?.id;
      if (partition.fetchFrom === undefined || topicId === undefined || this.#parked.has(partition) || this.#leader(partition) !== node.id)
        continue;
      if (partition.room === 0) full = true;
      else
        requests.push({
          partition,
          request: { topicId, partition: partition.number, offset: partition.fetchFrom, maxBytes: partition.room },
        });
    }
    // The broker fills a reply in the order of the request, and gives a batch that is too large only to the first.
    const first = node.turn++ % Math.max(requests.length, 1);
    return { requests: [...requests.slice(first), ...requests.slice(0, first)], full };
  }

  async #fetch(node: LeaderNode, asked: readonly Asked[], full: boolean): Promise<void> {
    const maxWait = full ? 0 : node.wait;
    const requests = asked.map(({ request }) => request);
    const replies = await this.#channel.fetch(node.id, requests, { maxWait, maxBytes: REPLY_BYTES });
    if (this.#stop.signal.aborted) return;
    this.#events.up(fetchingFrom(node.id));
    const byPartition = new Map(asked.map((one) => [`${one.request.topicId}/${one.request.partition}`, one]));
    let got = false;
    for (const reply of replies) {
      const one = byPartition.get(`${reply.topicId}/${reply.partition}`);
      // A reply to what is not wanted any more would make the partition jump.
      if (one === undefined || one.partition.fetchFrom !== one.request.offset) continue;
      if (reply.errorCode === 0) got = this.#accept(one, reply) || got;
      else this.#refused(one.partition, reply.errorCode);
    }
    node.wait = got ? SHORTEST_WAIT : Math.min(node.wait * 2, LONGEST_WAIT);
    if (full && !got) await node.woken(LOOK_AGAIN, this.#clock, this.#stop.signal);
  }

  /** @returns whether there were records */
  #accept({ partition, request }: Asked, reply: PartitionReply): boolean {
    partition.logEnd = reply.stableEnd;
    this.#events.up(partition.name);
    const next = endOfBatches(reply.records);
    if (next === undefined || next <= request.offset) return false;
    partition.accept(new RecordBatches(reply.records, request.offset, reply.aborted, partition.origin, this.#keyEncoding), next);
    return true;
  }

  /** One partition can't be fetched: the others go on. */
  #refused(partition: AssignedPartition, code: number): void {
    if (code === OFFSET_OUT_OF_RANGE) {
      this.#park(partition, this.#events.outOfRange(partition));
      return;
    }
    const leaderMoved = LOOK_FOR_LEADER.has(code);
    if (!leaderMoved) this.#events.down(partition.name, new FetchError(code));
    const pause = sleep(leaderMoved ? FIRST_PAUSE : LONGEST_PAUSE, this.#stop.signal, this.#clock);
    this.#park(
      partition,
      pause.then(() => this.#newLayout()),
    );
  }

  /** Leaves the partition out until that has settled, well or badly. */
  #park(partition: AssignedPartition, until: Promise<void>): void {
    this.#parked.add(partition);
    const unpark = () => {
      this.#parked.delete(partition);
      if (this.#partitions.get(partition.name) === partition) this.wants(partition);
    };
    until.then(unpark, unpark);
  }

  /** Asks where the leaders are, once for all nodes that want to know. */
  async #newLayout(): Promise<void> {
    this.#relayout ??= this.#events
      .relayout()
      .then((topics) => {
        this.#topics = new Map([...topics.values()].map((topic) => [topic.name, this.#taken(topic)]));
        for (const partition of this.#partitions.values()) {
          if (this.#leader(partition) < 0) this.#events.down(partition.name, new InfrastructureError(leaderless(partition.name)));
        }
        this.#wakeNodes();
      })
      .finally(() => {
        this.#relayout = undefined;
      });
    await this.#relayout;
  }

  /** The layout of a topic, as far as it is to be believed: a topic never loses partitions. */
  #taken(topic: TopicInfo): TopicInfo {
    const before = this.#topics.get(topic.name);
    if (before === undefined) return topic;
    const { name, id, leaders } = topic;
    const fewer = leaders.length < before.leaders.length;
    if (before.id === id && id !== name && fewer) {
      // The broker has not heard yet of those that were added.
      return { name, id, leaders: [...leaders, ...before.leaders.slice(leaders.length)] };
    }
    // Where the client knows no ids, only this tells that a topic was made anew.
    if (before.id !== id || fewer) this.#events.replaced(name, leaders.length);
    return topic;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    // What fails is no matter of the next assignment.
    for (const name of this.#partitions.keys()) this.#events.up(name);
    this.#partitions.clear();
    for (const node of this.#nodes.values()) {
      this.#events.up(fetchingFrom(node.id));
      node.wake();
    }
    await this.#channel[Symbol.asyncDispose]();
    await Promise.all(this.#loops);
  }
}

interface Asked {
  readonly partition: AssignedPartition;
  readonly request: PartitionRequest;
}

/** What the fetcher remembers of a leader between requests. */
class LeaderNode {
  readonly id: number;
  turn = 0;
  wait = SHORTEST_WAIT;
  pause = 0;
  #wanted = false;
  #wake: (() => void) | undefined;

  constructor(id: number) {
    this.id = id;
  }

  wake(): void {
    this.#wanted = true;
    this.wait = SHORTEST_WAIT;
    this.#wake?.();
  }

  /** Settles when a partition wants records, at once if one did since the last time, or after `ms`. */
  async woken(ms: number | undefined, clock: Clock, signal: AbortSignal): Promise<void> {
    if (!this.#wanted && !signal.aborted) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const cancel = ms === undefined ? undefined : clock.after(ms, resolve);
      // No function of ours: see ARCHITECTURE.md on what V8 keeps.
      this.#wake = resolve;
      await promise;
      this.#wake = undefined;
      cancel?.();
    }
    this.#wanted = false;
  }
}
