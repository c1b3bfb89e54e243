/** The inputs of fault runs: how records get in, what is there, and how far the pipeline says that it is done. */
import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

import { committedPositions } from "../support/kafka-records.ts";
import { makeTopic, uniqueName } from "../support/kafka-topics.ts";
import { countByKcat } from "../support/kcat.ts";
import type { Positions } from "./checkpoint-watch.ts";
import type { RecordWriter } from "./generator.ts";
import { joinGroup } from "./idle-member.ts";
import type { FaultRunOptions } from "./options.ts";
import type { OwnServices } from "./own-services.ts";
import { type ReadTexts, textsInStream, textsInTopic } from "./readers.ts";
import { JetStreamWriter, KafkaWriter } from "./writers.ts";

const PARTITIONS = 4;

/** An input. */
export interface Input {
  /** The task's `input`. */
  readonly config: object;
  readonly writer: RecordWriter;
  readonly read: ReadTexts;
  readonly lag: () => Promise<number>;
  /** What its broker says is done of each partition; without those of which nothing is. */
  readonly committed: () => Promise<Positions>;
  readonly joinGroup: (() => Promise<() => Promise<void>>) | undefined;
  /** Where Kafka keeps it. */
  readonly kafka: { readonly topic: string; readonly group: string } | undefined;
}

/** A topic with four partitions. */
export async function kafkaInput({ addresses: { kafka }, brokers }: OwnServices, task: string): Promise<Input> {
  const topic = await makeTopic(kafka, PARTITIONS, {}, uniqueName("in"), brokers.length);
  const group = `millrace-${task}`;
  return {
    // The shortest that brokers allow: so long does a partition stand still whose worker was killed.
    config: { kafka: { topic, sessionTimeout: "6s" } },
    writer: await KafkaWriter.open(kafka, topic, PARTITIONS),
    read: textsInTopic(kafka, topic),
    lag: async () => {
      const positions = await committedPositions(kafka, group, topic);
      const committed = [...positions.values()].reduce((sum, position) => sum + Math.max(position, 0), 0);
      return (await countByKcat(kafka, topic, PARTITIONS)) - committed;
    },
    committed: async () => {
      const positions = await committedPositions(kafka, group, topic);
      return new Map([...positions].flatMap(([number, position]) => (position > 0 ? [[`${topic}/${number}`, position]] : [])));
    },
    joinGroup: () => joinGroup(kafka, group, topic),
    kafka: { topic, group },
  };
}

/** A stream; the consumer of a pipeline with windows is owned by one instance. */
export async function jetstreamInput(
  { addresses: { nats } }: OwnServices,
  task: string,
  pipeline: FaultRunOptions["pipeline"],
): Promise<Input> {
  const stream = uniqueName("in");
  await withManager(nats, async (manager) => void (await manager.streams.add({ name: stream, subjects: [`${stream}.>`] })));
  const patience = pipeline === "relay" ? { ackWait: "3s" } : { takeover: "3s" };
  return {
    config: { jetstream: { stream, create: true, retryAfter: "1s", ...patience } },
    writer: await JetStreamWriter.open(nats, `${stream}.records`),
    read: textsInStream(nats, stream),
    lag: async () =>
      await withManager(nats, async (manager) => {
        const consumer = await manager.consumers.info(stream, `millrace-${task}`);
        return consumer.num_pending + consumer.num_ack_pending;
      }),
    committed: async () =>
      await withManager(nats, async (manager) => {
        const { stream_seq: done } = (await manager.consumers.info(stream, `millrace-${task}`)).ack_floor;
        return new Map(done > 0 ? [[`${stream}/millrace-${task}`, done + 1]] : []);
      }),
    joinGroup: undefined,
    kafka: undefined,
  };
}

type Manager = Awaited<ReturnType<typeof jetstreamManager>>;

/** @param address of a server that is there */
export async function withManager<R>(address: string, work: (manager: Manager) => Promise<R>): Promise<R> {
  const client = await connect({ servers: address });
  try {
    return await work(await jetstreamManager(client));
  } finally {
    await client.close();
  }
}
