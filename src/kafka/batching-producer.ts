import { abortable } from "../abortable.ts";
import { Bag } from "../bag.ts";
import { sleep } from "../clock.ts";
import { InfrastructureError, messageOf, NotReadyError } from "../errors.ts";
import { Lane, type LaneTopic } from "./lane.ts";
import { BATCH_OVERHEAD, type OutgoingRecord } from "./outgoing-record.ts";
import { partitionOfKey, StickyPartition } from "./partitioner.ts";
import type { ProducerClient } from "./producer-client.ts";
import type { KafkaProducer, ProducerSettings, TopicOptions, TopicWriter } from "./producer.ts";
import { RecordRefusedError } from "./producer.ts";
import { SendJob } from "./send-job.ts";

/** Bytes of records that wait for confirmation, for each topic: one that can't be written to must not hold up others. A call that would exceed it waits for its turn. */
const MAX_PENDING = 64 * 1024 * 1024;

/** How often lanes are looked after, in milliseconds. */
const WATCH_INTERVAL = 1000;

/** How often the number of a topic's partitions is asked for, in milliseconds: partitions may be added. As in Java's clients. */
const METADATA_AGE = 300_000;

const FIRST_BACKOFF = 200;
const LONGEST_BACKOFF = 5000;

/** Spreads records over partitions and sends those of each partition in batches, through any client. */
export class BatchingProducer implements KafkaProducer {
  readonly #client: ProducerClient;
  readonly #settings: ProducerSettings;
  readonly #topics = new Map<string, Topic>();
  readonly #jobs = new Bag<SendJob>();
  readonly #watch: NodeJS.Timeout;

  constructor(client: ProducerClient, settings: ProducerSettings) {
    this.#client = client;
    this.#settings = settings;
    this.#watch = setInterval(() => this.#lookAfter(), WATCH_INTERVAL).unref();
  }

  async topic(name: string, options: TopicOptions): Promise<TopicWriter> {
    const partitions = await this.#partitions(name, options);
    let topic = this.#topics.get(name);
    if (topic === undefined) {
      topic = new Topic(name, this.#client, this.#settings.maxMessageBytes);
      this.#topics.set(name, topic);
    }
    topic.partitions = partitions;
    topic.checkedAt = performance.now();
    const member = topic;
    member.listeners.add(options.waiting);
    return {
      send: (records, signal) => this.#send(member, records, signal),
      [Symbol.dispose]: () => void member.listeners.delete(options.waiting),
    };
  }

  /** Settles when nobody waits for a record any more. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.allSettled(this.#jobs.all().map((job) => job.done));
    clearInterval(this.#watch);
    await this.#client[Symbol.asyncDispose]();
  }

  /** How many partitions a topic has, once a broker says so. */
  async #partitions(name: string, { create, signal, waiting }: TopicOptions): Promise<number> {
    let told = false;
    for (let backoff = FIRST_BACKOFF; ; backoff = Math.min(backoff * 2, LONGEST_BACKOFF)) {
      try {
        const partitions = await abortable(this.#client.partitions(name), signal);
        if (partitions !== undefined) {
          if (told) waiting(undefined);
          return partitions;
        }
        if (create === undefined)
          throw new NotReadyError(`Kafka topic "${name}" does not exist; create it, or set create: true on the sink`);
        await abortable(this.#client.createTopic(name, create), signal);
      } catch (error) {
        if (signal.aborted || error instanceof InfrastructureError) throw error;
        if (!told) waiting(messageOf(error));
        told = true;
      }
      await sleep(backoff, signal);
    }
  }

  async #send(topic: Topic, records: readonly OutgoingRecord[], signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (records.length === 0) return;
    const limit = this.#settings.maxMessageBytes;
    let bytes = 0;
    for (const record of records) {
      bytes += record.size;
      if (record.size + BATCH_OVERHEAD <= limit) continue;
      throw new RecordRefusedError(
        record,
        `the record has about ${record.size} bytes, more than the limit of ${limit} (maxMessageBytes) for topic "${topic.name}"`,
      );
    }
    const job = new SendJob(records.length, bytes, signal, (settled) => {
      this.#jobs.delete(settled);
      topic.released(settled);
    });
    this.#jobs.add(job);
    topic.send(job, records);
    await job.done;
  }

  #lookAfter(): void {
    const now = performance.now();
    for (const topic of this.#topics.values()) {
      topic.report(now);
      if (topic.listeners.size === 0 || now - topic.checkedAt < METADATA_AGE) continue;
      topic.checkedAt = now;
      // Its limit may have been raised, too.
      topic.batchLimit = this.#settings.maxMessageBytes;
      // A failure changes nothing: the number stays, and sending finds out by itself.
      void this.#client.partitions(topic.name).then(
        (partitions) => (topic.partitions = partitions ?? topic.partitions),
        () => undefined,
      );
    }
  }
}

/** What is known of a topic, and the lanes to its partitions. */
class Topic implements LaneTopic {
  readonly name: string;
  readonly listeners = new Set<(reason: string | undefined) => void>();
  readonly #client: ProducerClient;
  readonly #lanes: Lane[] = [];
  readonly #turns: { readonly job: SendJob; readonly records: readonly OutgoingRecord[] }[] = [];
  #pending = 0;
  readonly #sticky = new StickyPartition(Math.floor(Math.random() * 0x1000));
  partitions = 0;
  checkedAt = 0;
  readonly maxBatchRecords: number;
  batchLimit: number;
  #reported: string | undefined;

  constructor(name: string, client: ProducerClient, batchLimit: number) {
    this.name = name;
    this.#client = client;
    this.maxBatchRecords = client.maxBatchRecords;
    this.batchLimit = batchLimit;
  }

  /** Sends the records of a call when it is its turn. */
  send(job: SendJob, records: readonly OutgoingRecord[]): void {
    if (this.#turns.length === 0 && this.#hasRoom(job.bytes)) this.#dispatch(job, records);
    else this.#turns.push({ job, records });
  }

  /** A call is settled: what waits for its room has its turn. */
  released(job: SendJob): void {
    const turn = this.#turns.findIndex((waiting) => waiting.job === job);
    if (turn === -1) this.#pending -= job.bytes;
    else this.#turns.splice(turn, 1);
    for (let next = this.#turns[0]; next !== undefined && this.#hasRoom(next.job.bytes); next = this.#turns[0]) {
      this.#turns.shift();
      this.#dispatch(next.job, next.records);
    }
  }

  /** A call that is larger than all room gets it to itself. */
  #hasRoom(bytes: number): boolean {
    return this.#pending === 0 || this.#pending + bytes <= MAX_PENDING;
  }

  /** Gives each record to the lane of its partition. */
  #dispatch(job: SendJob, records: readonly OutgoingRecord[]): void {
    this.#pending += job.bytes;
    if (this.partitions === 1) {
      this.#append(0, job, records);
      return;
    }
    const shares: OutgoingRecord[][] = [];
    const sticky = this.#sticky.next(this.partitions);
    for (const record of records) {
      const partition = record.key === undefined ? sticky : partitionOfKey(record.key, this.partitions);
      if (record.key === undefined) this.#sticky.add(record.size);
      const share = shares[partition];
      if (share === undefined) shares[partition] = [record];
      else share.push(record);
    }
    // Holes are skipped.
    shares.forEach((share, partition) => this.#append(partition, job, share));
  }

  #append(partition: number, job: SendJob, records: readonly OutgoingRecord[]): void {
    const lane = (this.#lanes[partition] ??= new Lane(this, this.#client.writer(this.name, partition)));
    job.joins(lane);
    lane.append(job, records);
  }

  /** Tells the users when a partition can't be written to, and when all can again. */
  report(now: number): void {
    let reason: string | undefined;
    for (const lane of this.#lanes) reason = lane?.trouble(now) ?? reason;
    if ((reason === undefined) === (this.#reported === undefined)) return;
    this.#reported = reason;
    for (const listener of this.listeners) listener(reason);
  }
}
