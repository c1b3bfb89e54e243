/** What sinks hold, read by programs and clients that share no code with Millrace. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

import { readByKcat } from "../support/kcat.ts";
import { readByNats } from "../support/nats-client.ts";
import { type FaultRecord, readRecord } from "./record.ts";
import type { WindowFound } from "./window-checker.ts";

const run = promisify(execFile);
const MOST_BYTES = 1 << 30;

/** Reads all texts that are in a place, in the order of each of its partitions. */
export type ReadTexts = () => Promise<readonly string[]>;

/** By kcat. */
export function textsInTopic(address: string, topic: string): ReadTexts {
  return async () => {
    const texts: string[] = [];
    await readByKcat(address, topic, (_partition, _key, text) => void texts.push(text));
    return texts;
  };
}

/** By the NATS client. */
export function textsInStream(address: string, stream: string): ReadTexts {
  return async () => {
    const texts: string[] = [];
    await readByNats(address, stream, (_subject, _key, text) => void texts.push(text));
    return texts;
  };
}

/** By redis-cli. @param address `redis://host:port` */
export function textsInList(address: string, list: string): ReadTexts {
  return async () => {
    const { stdout } = await run("redis-cli", ["-u", address, "--raw", "LRANGE", list, "0", "-1"], { maxBuffer: MOST_BYTES });
    return lines(stdout);
  };
}

/** By psql. Each row is a record as JSON, in the order in which they were inserted. @param address `postgres://…` */
export function textsInTable(address: string, table: string): ReadTexts {
  return async () => {
    const query = `SELECT json_build_object('run', run, 'key', key, 'seq', seq, 'at', at, 'fate', fate, 'sum', sum) FROM ${table} ORDER BY n`;
    return lines(await psql(address, query));
  };
}

/** Runs a statement by psql, and gives what it printed. */
export async function psql(address: string, statement: string): Promise<string> {
  const { stdout } = await run("psql", [address, "-X", "-q", "-t", "-A", "-v", "ON_ERROR_STOP=1", "-c", statement], {
    maxBuffer: MOST_BYTES,
  });
  return stdout;
}

/** The result of a window as the product `fault-windows` writes it; undefined when a text is none. */
export function readWindow(text: string): WindowFound | undefined {
  try {
    const { key, start, end, value } = JSON.parse(text) as WindowFound & {
      readonly value: { readonly records: number; readonly sum: number };
    };
    return { key, start, end, count: value.records, sum: value.sum };
  } catch {
    return undefined;
  }
}

/** Records as the checker takes them. */
export function readRecords(texts: readonly string[], runName: string): readonly (FaultRecord | undefined)[] {
  return texts.map((text) => readRecord(text, runName));
}

/** The lines of a text that are not empty. */
export function lines(text: string): readonly string[] {
  return text.split("\n").filter((line) => line !== "");
}
