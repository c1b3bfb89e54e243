/** The places for dead letters in fault runs, and how independent readers find the original records in them. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";

import { createTableText } from "../../src/sinks/letters/sql-table.ts";
import { makeTopic, uniqueName } from "../support/kafka-topics.ts";
import { type Owner, tempFolder } from "../support/temp-folder.ts";
import { withManager } from "./inputs.ts";
import type { FaultRunOptions } from "./options.ts";
import type { Output } from "./outputs.ts";
import type { OwnServices } from "./own-services.ts";
import { lines, psql, textsInStream, textsInTopic } from "./readers.ts";

/** Makes a place for dead letters. Its reader gives the values of the originals. */
export async function lettersPlace(kind: NonNullable<FaultRunOptions["letters"]>, own: OwnServices, owner: Owner): Promise<Output> {
  return await MAKE[kind](own, owner);
}

const MAKE: Readonly<Record<NonNullable<FaultRunOptions["letters"]>, (own: OwnServices, owner: Owner) => Promise<Output>>> = {
  kafka: async ({ addresses: { kafka }, brokers }) => {
    const topic = await makeTopic(kafka, 1, {}, uniqueName("letters"), brokers.length);
    return { config: { kafka: { topic } }, read: textsInTopic(kafka, topic) };
  },
  jetstream: async ({ addresses: { nats } }) => {
    const stream = uniqueName("letters");
    await withManager(nats, async (manager) => void (await manager.streams.add({ name: stream, subjects: [`${stream}.>`] })));
    return { config: { jetstream: { subject: `${stream}.all` } }, read: textsInStream(nats, stream) };
  },
  file: async (_own, owner) => {
    const path = join(tempFolder(owner), "letters.ndjson");
    const read = async () =>
      lines(await readFile(path, "utf8")).map((line) => textOf((JSON.parse(line) as { readonly value: string }).value));
    return { config: { file: { path } }, read };
  },
  sql: async ({ addresses: { postgres }, postgresUrl }) => {
    await psql(postgres, createTableText("letters"));
    const read = async () => lines(await psql(postgres, "SELECT value FROM letters")).map(textOf);
    return { config: { sql: { url: postgresUrl, table: "letters" } }, read };
  },
};

function textOf(base64: string): string {
  return Buffer.from(base64, "base64").toString();
}
