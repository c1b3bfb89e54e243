/** The outputs of fault runs. */
import { makeTopic, uniqueName } from "../support/kafka-topics.ts";
import { withManager } from "./inputs.ts";
import type { FaultRunOptions } from "./options.ts";
import type { OwnServices } from "./own-services.ts";
import { psql, type ReadTexts, textsInList, textsInStream, textsInTable, textsInTopic } from "./readers.ts";

/** An output. */
export interface Output {
  /** The task's `output`. */
  readonly config: object;
  readonly read: ReadTexts;
}

/** Makes the place that a sink writes to. */
export async function outputOf(sink: FaultRunOptions["sink"], own: OwnServices): Promise<Output> {
  return await MAKE[sink](own);
}

const MAKE: Readonly<Record<FaultRunOptions["sink"], (own: OwnServices) => Promise<Output>>> = {
  kafka: async ({ addresses: { kafka }, brokers }) => {
    const topic = await makeTopic(kafka, 4, {}, uniqueName("out"), brokers.length);
    return { config: { kafka: { topic } }, read: textsInTopic(kafka, topic) };
  },
  jetstream: async ({ addresses: { nats } }) => {
    const stream = uniqueName("out");
    // It would drop repeats: here they are to be seen.
    const config = { name: stream, subjects: [`${stream}.>`], duplicate_window: 100_000_000 };
    await withManager(nats, async (manager) => void (await manager.streams.add(config)));
    return { config: { jetstream: { subject: `${stream}.all` } }, read: textsInStream(nats, stream) };
  },
  redis: async ({ addresses: { redis } }) => {
    const list = uniqueName("out");
    return { config: { redis: { list } }, read: textsInList(redis, list) };
  },
  sql: async ({ addresses: { postgres }, postgresUrl }) => {
    const columns = "run text, key text, seq bigint, at bigint, fate text, sum text";
    await psql(postgres, `CREATE TABLE records (n bigserial PRIMARY KEY, ${columns})`);
    return { config: { sql: { url: postgresUrl, table: "records" } }, read: textsInTable(postgres, "records") };
  },
};
