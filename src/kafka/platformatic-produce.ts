/**
 * Produce requests through @platformatic/kafka, with record batches of our own. Small batches for partitions of one topic that are ready in the
 * same turn of the event loop go in one request: at a low rate most batches hold a record or two, and a request for each costs the
 * broker and the worker more than all else.
 */
import type { Connection, ResponseParser } from "@platformatic/kafka";
import { produceV9, produceV10, produceV11, protocolErrorsCodesById, Writer } from "@platformatic/kafka";

import { REQUEST_TIMEOUT } from "./client-options.ts";

const PRODUCE = 0;
const ALL_REPLICAS = -1;

/** How long the broker may wait for its replicas: less than we wait for the broker, so that it is the broker who tells. */
const REPLICA_TIMEOUT = REQUEST_TIMEOUT - 10_000;

/** Bytes of the batches of one request, where it holds several. */
const MOST_TOGETHER = 256 * 1024;

type ProduceResponse = ReturnType<typeof produceV11.parseResponse>;

/** The versions of the produce request that differ only in the answer. Kafka 2.8 and later have one of them. */
const ANSWER_PARSERS: ReadonlyMap<number, ResponseParser<ProduceResponse>> = new Map([
  [11, produceV11.parseResponse],
  [10, produceV10.parseResponse],
  [9, produceV9.parseResponse],
]);

/** The newest version that the broker and we know; undefined when there is none. */
export function produceVersion(
  apis: readonly { readonly apiKey: number; readonly minVersion: number; readonly maxVersion: number }[],
): number | undefined {
  const { minVersion, maxVersion } = apis.find(({ apiKey }) => apiKey === PRODUCE) ?? { minVersion: 0, maxVersion: 0 };
  for (const version of ANSWER_PARSERS.keys()) if (version >= minVersion && version <= maxVersion) return version;
  return undefined;
}

/** A batch for a partition. */
export interface PartitionBatch {
  readonly topic: string;
  readonly partition: number;
  readonly bytes: Buffer;
  /** The transactional id that it belongs to; null for none. */
  readonly transaction: string | null;
  /** `alone`: what may take long, since a request is answered when all its batches are written. */
  readonly company: "alone" | "others";
}

/** What a broker answered that did not take a batch. */
export interface Answer {
  /** The name of the protocol's error. */
  readonly name: string;
  readonly message: string;
}

/** A batch on its way. */
interface Sent extends PartitionBatch {
  readonly resolve: (answer: Answer | undefined) => void;
  readonly reject: (error: unknown) => void;
}

/** Sends batches to brokers. */
export class ProduceRequests {
  readonly #waiting = new WeakMap<Connection, Sent[]>();

  /**
   * @param version see produceVersion
   * @returns undefined when the batch was written
   * @throws what the client throws when there is no answer
   */
  send(connection: Connection, version: number, batch: PartitionBatch): Promise<Answer | undefined> {
    return new Promise((resolve, reject) => {
      const sent: Sent = { ...batch, resolve, reject };
      if (batch.company === "alone") {
        request(connection, version, [sent]);
        return;
      }
      let waiting = this.#waiting.get(connection);
      if (waiting === undefined) this.#waiting.set(connection, (waiting = []));
      // When all that is settled by now has had its turn.
      if (waiting.push(sent) === 1) process.nextTick(() => this.#flush(connection, version));
    });
  }

  #flush(connection: Connection, version: number): void {
    const waiting = this.#waiting.get(connection) ?? [];
    this.#waiting.set(connection, []);
    for (const together of grouped(waiting)) request(connection, version, together);
  }
}

/** Those that may go together: of one topic and one transaction, each for another partition. */
function grouped(batches: readonly Sent[]): readonly (readonly Sent[])[] {
  if (batches.length === 1) return [batches];
  const groups: { readonly sent: Sent[]; bytes: number }[] = [];
  for (const batch of batches) {
    const size = batch.bytes.length;
    const group = groups.find(({ sent, bytes }) => bytes + size <= MOST_TOGETHER && sent.every((other) => mayGoWith(other, batch)));
    if (group === undefined) groups.push({ sent: [batch], bytes: size });
    else {
      group.sent.push(batch);
      group.bytes += size;
    }
  }
  return groups.map(({ sent }) => sent);
}

function mayGoWith(a: Sent, b: Sent): boolean {
  return a.topic === b.topic && a.transaction === b.transaction && a.partition !== b.partition;
}

function produceRequest(batches: readonly Sent[]): Writer {
  const { topic, transaction } = batches[0] as Sent;
  return Writer.create()
    .appendString(transaction)
    .appendInt16(ALL_REPLICAS)
    .appendInt32(REPLICA_TIMEOUT)
    .appendArray([topic], (writer) => {
      writer.appendString(topic).appendArray([...batches], (_writer, { partition, bytes }) => {
        // Compact bytes have a length of one more.
        writer
          .appendInt32(partition)
          .appendUnsignedVarInt(bytes.length + 1)
          .append(bytes);
      });
    })
    .appendTaggedFields();
}

function request(connection: Connection, version: number, batches: readonly Sent[]): void {
  const parse = ANSWER_PARSERS.get(version) as ResponseParser<ProduceResponse>;
  try {
    connection.send(
      PRODUCE,
      version,
      () => produceRequest(batches),
      parse,
      true,
      true,
      (error) => {
        // An answer that comes after its request timed out upsets the connection's reader, so it must not come.
        if (!answerAll(batches, error)) connection.socket.destroy();
      },
    );
  } catch (error) {
    for (const { reject } of batches) reject(error);
  }
}

/** @returns whether there was an answer for each */
function answerAll(batches: readonly Sent[], error: Error | null): boolean {
  let complete = true;
  for (const { partition, resolve, reject } of batches) {
    const answer = error === null ? WRITTEN : answerIn(error, partition);
    if (answer !== undefined) resolve(answer === WRITTEN ? undefined : answer);
    else {
      complete = false;
      reject(error);
    }
  }
  return complete;
}

/** What stands for no error. */
const WRITTEN: Answer = { name: "NONE", message: "" };

/** The client makes an error of every answer that has one in it. @returns undefined where there is no answer for the partition */
function answerIn(error: Error, partition: number): Answer | undefined {
  const { response } = error as { response?: ProduceResponse };
  const answer = response?.responses[0]?.partitionResponses.find(({ index }) => index === partition);
  if (answer === undefined) return undefined;
  if (answer.errorCode === 0) return WRITTEN;
  const name = (protocolErrorsCodesById as Readonly<Record<number, string>>)[answer.errorCode] ?? `error ${answer.errorCode}`;
  const ofRecord = answer.recordErrors[0]?.batchIndexErrorMessage;
  return { name, message: ofRecord ?? answer.errorMessage ?? "the broker gives no reason" };
}
