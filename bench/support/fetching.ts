/** Reading Kafka by hand: `fetch()` of @platformatic/kafka, partition by partition from given offsets. */
import { Consumer } from "@platformatic/kafka";

const PARTITION_BYTES = 1_048_576;
const REPLY_BYTES = 8 * 1_048_576;

/** A record as it came. */
export interface FetchedRecord {
  readonly partition: number;
  readonly offset: number;
  /** Milliseconds since the epoch: the broker's own on a topic with LogAppendTime. */
  readonly time: number;
  readonly key: Buffer | null;
  readonly value: Buffer;
}

/** Reads partitions of one topic. All of them must be led by one broker. */
export class Fetching implements AsyncDisposable {
  readonly #topic: string;
  readonly #client: Consumer;
  readonly #next: Map<number, number>;
  readonly #maxWait: number;
  #node = -1;
  #topicId = "";

  /** @param next where to begin, by partition */
  constructor(brokers: readonly string[], topic: string, next: ReadonlyMap<number, number>, maxWait = 250) {
    this.#topic = topic;
    this.#next = new Map(next);
    this.#maxWait = maxWait;
    this.#client = new Consumer({ clientId: "bench-fetch", groupId: "-", bootstrapBrokers: [...brokers], autocommit: false });
    this.#client.on("error", () => undefined);
    this.#client.topics.trackAll(topic);
  }

  async open(): Promise<void> {
    const metadata = await this.#client.metadata({ topics: [this.#topic], forceUpdate: true });
    const topic = metadata.topics.get(this.#topic);
    if (topic === undefined) throw new Error(`there is no topic ${this.#topic}`);
    this.#topicId = topic.id;
    this.#node = topic.partitions[0]?.leader ?? -1;
  }

  /** The records of one reply, and moves behind them. */
  async fetch(): Promise<FetchedRecord[]> {
    const partitions = [...this.#next].map(([partition, offset]) => ({
      partition,
      fetchOffset: BigInt(offset),
      partitionMaxBytes: PARTITION_BYTES,
      currentLeaderEpoch: -1,
      lastFetchedEpoch: -1,
    }));
    const reply = await this.#client.fetch({
      node: this.#node,
      topics: [{ topicId: this.#topicId, partitions }],
      maxWaitTime: this.#maxWait,
      minBytes: 1,
      maxBytes: REPLY_BYTES,
    });
    const records: FetchedRecord[] = [];
    for (const topic of reply.responses) {
      for (const { partitionIndex: partition, records: batches } of topic.partitions) {
        const from = this.#next.get(partition) ?? 0;
        for (const batch of batches ?? []) {
          const base = Number(batch.firstOffset);
          const appended = (batch.attributes & 8) === 0 ? undefined : Number(batch.maxTimestamp);
          const first = Number(batch.firstTimestamp);
          for (const { offsetDelta, timestampDelta, key, value } of batch.records) {
            const offset = base + offsetDelta;
            if (offset < from || value === null) continue;
            records.push({ partition, offset, time: appended ?? first + Number(timestampDelta), key, value });
          }
          this.#next.set(partition, base + batch.lastOffsetDelta + 1);
        }
      }
    }
    return records;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client.close(true);
  }
}
