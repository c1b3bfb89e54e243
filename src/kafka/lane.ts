/**
 * The records on their way to one partition. One batch is under way at a time, which keeps their order also when one has
 * to be sent again; what comes meanwhile becomes the next batch, so batches grow with the load and nothing ever waits to
 * fill one.
 */
import { NotReadyError } from "../errors.ts";
import { BATCH_OVERHEAD, type OutgoingRecord } from "./outgoing-record.ts";
import type { Outcome, PartitionWriter } from "./producer-client.ts";
import { RecordRefusedError } from "./producer.ts";
import type { SendJob } from "./send-job.ts";

/** An attempt that took so long is given up, whatever the client waits for, and made anew: its records may then come twice. */
const ATTEMPT_DEADLINE = 90_000;

/** An attempt that takes so long means that the broker doesn't answer. */
const SLOW_ATTEMPT = 5000;

/** Trouble that lasts less is not worth telling: a partition moves to another broker. */
const SHORT_TROUBLE = 1000;

/** A topic that is unknown for so long is gone, not new. */
const MISSING_FOR = 10_000;

const FIRST_BACKOFF = 100;
const LONGEST_BACKOFF = 5000;

/** What a lane needs to know of its topic. */
export interface LaneTopic {
  readonly name: string;
  readonly maxBatchRecords: number;
  /** Bytes that a batch may have before compression; lowered when the broker refuses one. */
  batchLimit: number;
}

interface Chunk {
  readonly job: SendJob;
  readonly records: readonly OutgoingRecord[];
  /** The first that is not yet in a batch. */
  next: number;
}

/** Records of several calls, in order. */
interface LaneBatch {
  readonly records: readonly OutgoingRecord[];
  /** Whose they are: runs of records. */
  readonly spans: readonly Span[];
}

interface Span {
  readonly job: SendJob;
  readonly count: number;
}

export class Lane {
  readonly #topic: LaneTopic;
  readonly #writer: PartitionWriter;
  readonly #queue: Chunk[] = [];
  #running = false;
  /** Ends the wait for an attempt or for the next one. */
  #wake: ((nothing: undefined) => void) | undefined;
  #batch: LaneBatch | undefined;
  #attemptSince: number | undefined;
  #troubleSince: number | undefined;
  #reason = "";

  constructor(topic: LaneTopic, writer: PartitionWriter) {
    this.#topic = topic;
    this.#writer = writer;
  }

  append(job: SendJob, records: readonly OutgoingRecord[]): void {
    this.#queue.push({ job, records, next: 0 });
    if (this.#running) return;
    this.#running = true;
    void this.#run();
  }

  /** A call whose records are here was given up: perhaps nobody waits for the batch under way any more. */
  jobSettled(): void {
    if (this.#batch !== undefined && !isWanted(this.#batch)) this.#wake?.(undefined);
  }

  /**
   * Why nothing gets through now; undefined if all is well or it is too early to tell.
   * @param now in milliseconds of `performance.now()`
   */
  trouble(now: number): string | undefined {
    const attempt = this.#attemptSince === undefined ? 0 : now - this.#attemptSince;
    if (attempt > ATTEMPT_DEADLINE) this.#wake?.(undefined);
    if (this.#troubleSince !== undefined && now - this.#troubleSince >= SHORT_TROUBLE) return this.#reason;
    return attempt >= SLOW_ATTEMPT ? "the broker does not answer" : undefined;
  }

  async #run(): Promise<void> {
    // What else is appended in this turn of the event loop goes into the first batch.
    await Promise.resolve();
    for (let batch = this.#cut(); batch !== undefined; batch = this.#cut()) await this.#deliver(batch);
    this.#running = false;
  }

  /** Takes the next batch from the queue; undefined if there is none. */
  #cut(): LaneBatch | undefined {
    const records: OutgoingRecord[] = [];
    const spans: Span[] = [];
    let room = this.#topic.batchLimit - BATCH_OVERHEAD;
    for (let chunk = this.#queue[0]; chunk !== undefined; chunk = this.#queue[0]) {
      if (!chunk.job.settled) {
        const end = endWithin(chunk, room, this.#topic.maxBatchRecords - records.length, records.length === 0);
        if (end === chunk.next) break;
        for (let index = chunk.next; index < end; index++) {
          const record = chunk.records[index] as OutgoingRecord;
          room -= record.size;
          records.push(record);
        }
        spans.push({ job: chunk.job, count: end - chunk.next });
        chunk.next = end;
        if (end < chunk.records.length) break;
      }
      this.#queue.shift();
    }
    return records.length === 0 ? undefined : { records, spans };
  }

  /** Writes a batch, in parts if need be; settles when there is nothing more to do about it. */
  async #deliver(batch: LaneBatch): Promise<void> {
    const outcome = await this.#attempts(batch);
    if (outcome === undefined) return;
    if (outcome.kind === "written") for (const { job, count } of batch.spans) job.written(count);
    else if (outcome.kind === "denied") for (const { job } of batch.spans) job.fail(outcome.error);
    else await this.#split(batch, outcome);
  }

  /** Tries until the outcome is certain; undefined when nobody wants it any more. */
  async #attempts(batch: LaneBatch): Promise<Exclude<Outcome, { kind: "again" }> | undefined> {
    this.#batch = batch;
    for (let backoff = FIRST_BACKOFF; isWanted(batch); backoff = Math.min(backoff * 2, LONGEST_BACKOFF)) {
      const outcome = await this.#attempt(batch);
      if (outcome !== undefined && outcome.kind !== "again") {
        this.#troubleSince = undefined;
        this.#batch = undefined;
        return outcome;
      }
      this.#noteTrouble(batch, outcome);
      if (isWanted(batch)) await this.#pause(backoff * (0.8 + 0.4 * Math.random()));
    }
    this.#writer.abandon();
    this.#troubleSince = undefined;
    this.#batch = undefined;
    return undefined;
  }

  /** @returns undefined when it was cut short */
  async #attempt(batch: LaneBatch): Promise<Outcome | undefined> {
    this.#attemptSince = performance.now();
    const outcome = await new Promise<Outcome | undefined>((resolve, reject) => {
      // No function of ours: see ARCHITECTURE.md on what V8 keeps.
      this.#wake = resolve;
      this.#writer.send(batch.records).then(resolve, reject);
    });
    this.#wake = undefined;
    this.#attemptSince = undefined;
    if (outcome === undefined) this.#writer.abandon();
    return outcome;
  }

  #noteTrouble(batch: LaneBatch, outcome: Extract<Outcome, { kind: "again" }> | undefined): void {
    const now = performance.now();
    this.#troubleSince ??= now;
    this.#reason = outcome?.reason ?? "the broker does not answer";
    if (outcome?.missing !== true || now - this.#troubleSince < MISSING_FOR) return;
    const error = new NotReadyError(`Kafka topic "${this.#topic.name}" does not exist any more, or has fewer partitions; create it again`);
    for (const { job } of [...batch.spans, ...this.#queue]) job.fail(error);
  }

  async #pause(ms: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#wake = undefined;
  }

  /** The broker refused a batch: one of its records is at fault, or they are too many. */
  async #split(batch: LaneBatch, { reason, tooLarge }: { reason: string; tooLarge: boolean }): Promise<void> {
    const { records, spans } = batch;
    const [record] = records;
    if (records.length === 1 && record !== undefined) {
      const what = tooLarge
        ? `the record has about ${record.size} bytes, more than the broker takes for topic "${this.#topic.name}"`
        : reason;
      spans[0]?.job.fail(new RecordRefusedError(record, what));
      return;
    }
    if (tooLarge) {
      const bytes = records.reduce((sum, { size }) => sum + size, BATCH_OVERHEAD);
      this.#topic.batchLimit = Math.min(this.#topic.batchLimit, Math.ceil(bytes / 2));
    }
    const middle = records.length >> 1;
    for (const [from, to] of [[0, middle] as const, [middle, records.length] as const]) {
      const half = part(batch, from, to);
      if (half.records.length > 0) await this.#deliver(half);
    }
  }
}

/** How far a chunk's records go into the room that is left; at least one when there is no other. */
function endWithin({ records, next }: Chunk, room: number, count: number, first: boolean): number {
  const last = Math.min(records.length, next + count);
  let end = next;
  for (let bytes = 0; end < last; end++) {
    bytes += (records[end] as OutgoingRecord).size;
    if (bytes > room && !(first && end === next)) break;
  }
  return end;
}

function isWanted(batch: LaneBatch): boolean {
  return batch.spans.some(({ job }) => !job.settled);
}

/** The records from `from` to before `to`, without those of calls that have failed meanwhile. */
function part(batch: LaneBatch, from: number, to: number): LaneBatch {
  const records: OutgoingRecord[] = [];
  const spans: Span[] = [];
  let start = 0;
  for (const { job, count } of batch.spans) {
    const mine = batch.records.slice(Math.max(start, from), Math.min(start + count, to));
    start += count;
    if (mine.length === 0 || job.settled) continue;
    records.push(...mine);
    spans.push({ job, count: mine.length });
  }
  return { records, spans };
}
