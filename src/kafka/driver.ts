/**
 * What the consumer needs of a client library: connections, and requests with their answers. All that decides (membership,
 * what is fetched, what is committed) is ours and the same for every client.
 */
import type { Position } from "../batch.ts";
import type { Subscriber, TopicPartitions } from "./group-assignment.ts";
import type { LogRange } from "./out-of-range.ts";
import type { NewTopic } from "./producer.ts";
import type { AbortedTransaction } from "./record-batches.ts";

/** One cluster through one client library. Methods throw what the library throws: `brokerErrorName` reads it. */
export interface KafkaDriver extends AsyncDisposable {
  /**
   * Asks anew how topics are laid out, and where their leaders are.
   * @throws {MissingTopics} naming those that do not exist
   */
  topics(names: readonly string[]): Promise<ReadonlyMap<string, TopicInfo>>;
  /** Makes topics, unless somebody else just did. */
  create(names: readonly string[], how: NewTopic): Promise<void>;
  /**
   * The offsets that partitions have now. The end is that of finished transactions. Partitions whose leader does not answer
   * are left out when others answer, and those without a leader always.
   * @param since a record's timestamp: ranges then begin with the first record that has it or a later one, and are empty without one
   */
  ranges(topic: string, partitions: readonly number[], since?: number): Promise<ReadonlyMap<number, LogRange>>;
  /** Connections for fetching, which wait in the broker and would hold up other requests. */
  fetching(): FetchChannel;
  coordinator(settings: GroupSettings): GroupCoordinator;
}

/** A topic as the cluster knows it. */
export interface TopicInfo {
  readonly name: string;
  /**
   * What fetches name it by. Where the client knows them, the id that stays with the topic until it is deleted: one that
   * was made anew under the name has another. Else the name.
   */
  readonly id: string;
  /** The node that leads each partition; negative while there is none. */
  readonly leaders: readonly number[];
}

export interface FetchChannel extends AsyncDisposable {
  /**
   * Fetches from the leader of all these partitions, committed transactions only.
   * @returns one reply for each partition that has something to tell; not for the others
   */
  fetch(node: number, requests: readonly PartitionRequest[], limits: FetchLimits): Promise<readonly PartitionReply[]>;
}

export interface FetchLimits {
  /** How long the broker waits for records when it has none, in milliseconds. */
  readonly maxWait: number;
  /** Bytes of the whole reply. */
  readonly maxBytes: number;
}

/** What is asked for of one partition. */
export interface PartitionRequest {
  readonly topicId: string;
  readonly partition: number;
  readonly offset: Position;
  /** Bytes of it that are wanted; one record batch more when it alone is larger. */
  readonly maxBytes: number;
}

export interface PartitionReply {
  readonly topicId: string;
  readonly partition: number;
  /** As in the protocol; 0 when there is none. */
  readonly errorCode: number;
  /** The end of finished transactions. */
  readonly stableEnd: Position;
  readonly aborted: readonly AbortedTransaction[];
  /** Whole record batches, and perhaps the beginning of another. Keeps no larger reply alive. */
  readonly records: Buffer;
}

/** A broker's error for a whole fetch, or for a partition of it. */
export class FetchError extends Error {
  override readonly name = "FetchError";

  constructor(code: number) {
    super(`the broker answers a fetch with error ${code} (https://kafka.apache.org/protocol#protocol_error_codes)`);
  }
}

/** What one read of a socket gives at most. */
const SOCKET_READ = 65_536;

/** The bytes, in memory of their own where they would keep a large reply alive. */
export function ownBytes(bytes: Buffer): Buffer {
  return bytes.buffer.byteLength <= Math.max(2 * bytes.length, SOCKET_READ) ? bytes : Buffer.from(bytes);
}

export interface GroupSettings {
  readonly group: string;
  readonly topics: readonly string[];
  readonly sessionTimeout: number;
  readonly rebalanceTimeout: number;
}

/** The broker that coordinates a group. It is found when it is first needed. */
export interface GroupCoordinator {
  /** Connections for joining, which waits in the broker and would hold up other requests. */
  joining(): Promise<JoinChannel>;
  heartbeat(member: MemberOf): Promise<void>;
  commit(member: MemberOf, positions: readonly PartitionPosition[]): Promise<void>;
  /** The committed positions of partitions; those without one are left out, or negative. */
  committed(partitions: readonly TopicPartitions[]): Promise<readonly PartitionPosition[]>;
  leave(member: string): Promise<void>;
  /** It may be another broker by now: it is looked for again. */
  forget(): void;
}

/** Whom a request is made for: the broker refuses those of an earlier generation. */
export interface MemberOf {
  readonly member: string;
  readonly generation: number;
}

export interface JoinChannel extends AsyncDisposable {
  /**
   * Joins under the name that the broker gave before; empty: it gives one. Settles when all members have joined.
   * @param named told the name as soon as the client knows it, so that a join can be broken off by leaving
   */
  join(member: string, assignor: string, named: (member: string) => void): Promise<Joined>;
  /** @param shares from the leader: everybody's; from others nothing. @returns this member's */
  sync(joined: Joined, assignor: string, shares: ReadonlyMap<string, readonly TopicPartitions[]>): Promise<readonly TopicPartitions[]>;
}

export interface Joined extends MemberOf {
  /** All members, when this one is the leader; else empty. */
  readonly members: readonly Subscriber[];
}

export interface PartitionPosition {
  readonly topic: string;
  readonly partition: number;
  readonly position: Position;
  /** What was committed with it, such as `STATE_KEPT`. */
  readonly note?: string | undefined;
}

/** The note of a position that needs a checkpoint to go on from. */
export const STATE_KEPT = "millrace: with a checkpoint";
