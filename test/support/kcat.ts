/** Kafka through kcat, which shares no code with Millrace or its clients. */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import type { Writable } from "node:stream";
import { promisify } from "node:util";

import { kcat } from "./services/index.ts";

const run = promisify(execFile);

/** A record to write. Neither key nor text may hold a tab or a line end. */
export interface KeyedText {
  readonly key: string;
  readonly text: string;
}

/** Writes records to a topic, spread over its partitions by their keys, in order; settles when the broker has them all. */
export async function writeByKcat(
  address: string,
  topic: string,
  records: Iterable<KeyedText> | AsyncIterable<KeyedText>,
  options: readonly string[] = [],
): Promise<void> {
  const settings = ["enable.idempotence=true", "topic.partitioner=murmur2", "linger.ms=5", "queue.buffering.max.kbytes=65536"];
  const args = ["-P", "-b", address, "-t", topic, "-K", "\t", ...settings.flatMap((setting) => ["-X", setting]), ...options];
  const child = spawn(await kcat(), args, { stdio: ["pipe", "ignore", "pipe"] });
  // What kcat has to say is in its exit code.
  child.stdin.on("error", () => undefined);
  await Promise.all([exitOf(child), writeLines(child.stdin, records)]);
}

/** Writes one record of any size without a key. */
export async function writeOneByKcat(address: string, topic: string, text: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "millrace-test-"));
  try {
    writeFileSync(join(folder, "record"), text);
    await run(await kcat(), ["-P", "-b", address, "-t", topic, "-X", `message.max.bytes=${text.length + 65_536}`, join(folder, "record")]);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function writeLines(out: Writable, records: Iterable<KeyedText> | AsyncIterable<KeyedText>): Promise<void> {
  let waiting = "";
  for await (const { key, text } of records) {
    waiting += `${key}\t${text}\n`;
    if (waiting.length < 65_536) continue;
    if (!out.write(waiting)) await once(out, "drain");
    waiting = "";
  }
  out.end(waiting);
}

/** Calls `take` for every record of a topic, in the order of each partition. */
export async function readByKcat(
  address: string,
  topic: string,
  take: (partition: number, key: string, text: string) => void,
  options: readonly string[] = [],
): Promise<void> {
  const args = ["-C", "-b", address, "-t", topic, "-o", "beginning", "-e", "-q", "-f", "%p\t%k\t%s\n", ...options];
  const child = spawn(await kcat(), args, { stdio: ["ignore", "pipe", "pipe"] });
  const ended = exitOf(child);
  for await (const line of createInterface({ input: child.stdout, crlfDelay: Infinity })) {
    const first = line.indexOf("\t");
    const second = line.indexOf("\t", first + 1);
    take(Number(line.slice(0, first)), line.slice(first + 1, second), line.slice(second + 1));
  }
  await ended;
}

/** How many records a topic has had, over all partitions. */
export async function countByKcat(address: string, topic: string, partitions: number): Promise<number> {
  const ends = Array.from({ length: partitions }, (_, partition) => ["-t", `${topic}:${partition}:-1`]).flat();
  const { stdout } = await run(await kcat(), ["-Q", "-b", address, ...ends]);
  return [...stdout.matchAll(/offset (\d+)/g)].reduce((sum, [, offset]) => sum + Number(offset), 0);
}

async function exitOf(child: ChildProcess): Promise<void> {
  let said = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => (said += text));
  const [code] = (await once(child, "close")) as [number | null];
  if (code !== 0) throw new Error(`kcat ended with code ${code}: ${said}`);
}
