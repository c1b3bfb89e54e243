/** Records for tests, produced by kafkajs itself: it places them, and aborts transactions, exactly as told. */
import { Admin } from "@platformatic/kafka";
import kafkajs, { type Kafka, type Message, type Producer } from "kafkajs";

import { createKafkajs } from "../../src/kafka/kafkajs-client.ts";
import { kafkaConnection, silent, uniqueName } from "./kafka-topics.ts";

const { Partitioners } = kafkajs;

/** A request holds less than the megabyte that brokers take. */
const REQUEST_BYTES = 800_000;

/** `count` records for one partition: the values are `prefix` and a number from 0, made up to `size` bytes with dots. */
export function numbered(count: number, { prefix = "", size = 0, first = 0 } = {}): Message[] {
  return Array.from({ length: count }, (_, index) => ({ key: `k${index % 10}`, value: `${prefix}${first + index}`.padEnd(size, ".") }));
}

function client(address: string): Kafka {
  return createKafkajs(kafkaConnection(address, "kafkajs"), { clientId: "test-data" }, silent);
}

/** Writes records to one partition, in as few requests as they fit in. */
export async function produce(address: string, topic: string, partition: number, messages: readonly Message[]): Promise<void> {
  const producer = client(address).producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  try {
    let batch: Message[] = [];
    let bytes = 0;
    for (const message of messages) {
      const size = (message.value?.length ?? 0) + 50;
      if (bytes + size > REQUEST_BYTES && batch.length > 0) {
        await producer.send({ topic, messages: batch });
        batch = [];
        bytes = 0;
      }
      batch.push({ ...message, partition });
      bytes += size;
    }
    await producer.send({ topic, messages: batch });
  } finally {
    await producer.disconnect();
  }
}

/** One producer of transactions. */
export class Transactions implements AsyncDisposable {
  readonly #producer: Producer;

  private constructor(producer: Producer) {
    this.#producer = producer;
  }

  static async open(address: string): Promise<Transactions> {
    const producer = client(address).producer({
      transactionalId: uniqueName("tx"),
      idempotent: true,
      maxInFlightRequests: 1,
      createPartitioner: Partitioners.DefaultPartitioner,
    });
    await producer.connect();
    return new Transactions(producer);
  }

  /** Writes each of the messages in a request, so in a record batch, of its own; then ends the transaction. */
  async write(topic: string, partition: number, messages: readonly Message[], end: "commit" | "abort"): Promise<void> {
    const transaction = await this.begin(topic, partition, messages);
    await transaction[end]();
  }

  async begin(
    topic: string,
    partition: number,
    messages: readonly Message[],
  ): Promise<{ commit(): Promise<void>; abort(): Promise<void> }> {
    const transaction = await this.#producer.transaction();
    for (const message of messages) await transaction.send({ topic, messages: [{ ...message, partition }] });
    return transaction;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#producer.disconnect();
  }
}

/** The positions that a group has committed for a topic, by partition; -1 where it has none. */
export async function committedPositions(address: string, group: string, topic: string): Promise<ReadonlyMap<number, number>> {
  return await withAdmin(address, async (admin) => {
    const [answer] = await admin.fetchOffsets({ groupId: group, topics: [topic] });
    return new Map((answer?.partitions ?? []).map(({ partition, offset }) => [partition, Number(offset)]));
  });
}

/** Sets the positions of a group that has no members. */
export async function setPositions(address: string, group: string, topic: string, positions: readonly number[]): Promise<void> {
  // kafkajs joins the group for that, and takes five seconds.
  const admin = new Admin({ clientId: "test-data", bootstrapBrokers: address.split(",") });
  try {
    const partitionOffsets = positions.map((offset, partition) => ({ partition, offset: BigInt(offset) }));
    await admin.alterConsumerGroupOffsets({ groupId: group, topics: [{ name: topic, partitionOffsets }] });
  } finally {
    await admin.close();
  }
}

/** Deletes the records before an offset, as retention does. */
export async function deleteBefore(address: string, topic: string, partition: number, offset: number): Promise<void> {
  await withAdmin(address, async (admin) => {
    // Without asking for it first, kafkajs knows no leader.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: String(offset) }] });
  });
}

async function withAdmin<R>(address: string, work: (admin: ReturnType<ReturnType<typeof client>["admin"]>) => Promise<R>): Promise<R> {
  const admin = client(address).admin();
  await admin.connect();
  try {
    return await work(admin);
  } finally {
    await admin.disconnect();
  }
}
