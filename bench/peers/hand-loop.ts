/**
 * The jobs of bench/kafka.ts written by hand on @platformatic/kafka, at the level of `fetch()`: nothing but what a job needs.
 * At least once: positions are committed every second, and only those whose outputs are confirmed. The next reply is under
 * way while one is worked on, and so are up to eight calls of the producer. It runs until it gets a SIGTERM.
 *
 *   node bench/peers/hand-loop.ts BROKERS GROUP INPUT OUTPUT change|count
 */
import { compatibilityPartitioner, Consumer, ListOffsetTimestamps, type MessageToProduce, Producer } from "@platformatic/kafka";

import { type FetchedRecord, Fetching } from "../support/fetching.ts";

const [, , brokerList = "", group = "", input = "", output = "", job = ""] = process.argv;
const brokers = brokerList.split(",");
const SEND = 1000;
const IN_FLIGHT = 8;
const COMMIT_EVERY = 1000;
const WINDOW = 10_000;

type Message = MessageToProduce<Buffer, string, string, string>;

/** What became of some records: what to send, and from where reading begins again once that is confirmed. */
interface Work {
  readonly messages: Message[];
  readonly positions: ReadonlyMap<number, number>;
}

function change(records: readonly FetchedRecord[]): Work {
  const positions = new Map<number, number>();
  const messages: Message[] = [];
  for (const { partition, offset, time, key, value } of records) {
    const bid = JSON.parse(value.toString()) as { price: number };
    bid.price *= 0.908;
    messages.push({ topic: output, key: key as Buffer, value: JSON.stringify(bid), timestamp: BigInt(time) });
    positions.set(partition, offset + 1);
  }
  return { messages, positions };
}

/** The windows of one partition that are open. */
interface Windows {
  watermark: number;
  readonly open: Map<number, { readonly first: number; readonly counts: Map<number, number> }>;
}

const windowsOf = new Map<number, Windows>();

function count(records: readonly FetchedRecord[]): Work {
  const positions = new Map<number, number>();
  const messages: Message[] = [];
  for (const { partition, offset, value } of records) {
    const bid = JSON.parse(value.toString()) as { auction: number; dateTime: number };
    let windows = windowsOf.get(partition);
    if (windows === undefined) windowsOf.set(partition, (windows = { watermark: 0, open: new Map() }));
    const start = bid.dateTime - (bid.dateTime % WINDOW);
    // Late for all that is open.
    if (start + WINDOW > windows.watermark) {
      let window = windows.open.get(start);
      if (window === undefined) windows.open.set(start, (window = { first: offset, counts: new Map() }));
      window.counts.set(bid.auction, (window.counts.get(bid.auction) ?? 0) + 1);
    }
    if (bid.dateTime > windows.watermark) {
      windows.watermark = bid.dateTime;
      if (windows.open.size > 1) close(windows, messages);
    }
    positions.set(partition, offset + 1);
  }
  for (const [partition, windows] of windowsOf) {
    for (const { first } of windows.open.values()) positions.set(partition, Math.min(first, positions.get(partition) ?? first));
  }
  return { messages, positions };
}

function close({ open, watermark }: Windows, messages: Message[]): void {
  for (const [start, { counts }] of open) {
    const end = start + WINDOW;
    if (end > watermark) continue;
    open.delete(start);
    for (const [auction, number] of counts) {
      const key = String(auction);
      const value = JSON.stringify({ key, start, end, count: number });
      messages.push({ topic: output, key: Buffer.from(key, "latin1"), value, timestamp: BigInt(end - 1) });
    }
  }
}

const stop = new AbortController();
process.once("SIGTERM", () => stop.abort());

const member = new Consumer({ clientId: "hand", groupId: group, bootstrapBrokers: brokers, autocommit: false });
const producer = new Producer<Buffer, string, string, string>({
  clientId: "hand",
  bootstrapBrokers: brokers,
  idempotent: true,
  partitioner: (message, key) => compatibilityPartitioner(message as never, key),
  serializers: { key: (key) => key, value: (value) => (value === undefined ? undefined : Buffer.from(value)) },
});
member.topics.trackAll(input);
await member.joinGroup({});
const partitions = (member.assignments ?? []).flatMap((assignment) => assignment.partitions);
const committed = await member.listCommittedOffsets({ topics: [{ topic: input, partitions }] });
const earliest = await member.listOffsets({ topics: [input], timestamp: ListOffsetTimestamps.EARLIEST });
const starts = new Map<number, number>();
for (const partition of partitions) {
  const position = committed.get(input)?.[partition] ?? -1n;
  starts.set(partition, Number(position >= 0n ? position : (earliest.get(input)?.[partition] ?? 0n)));
}
const fetching = new Fetching(brokers, input, starts);
await fetching.open();

const confirmed = new Map<number, number>();
const underWay: { readonly sent: Promise<unknown>; readonly positions: ReadonlyMap<number, number> | undefined }[] = [];

async function settle(most: number): Promise<void> {
  while (underWay.length > most) {
    const { sent, positions } = underWay[0] as (typeof underWay)[number];
    await sent;
    underWay.shift();
    for (const [partition, position] of positions ?? []) confirmed.set(partition, position);
  }
}

async function commit(): Promise<void> {
  const offsets = [...confirmed].map(([partition, position]) => ({ topic: input, partition, offset: BigInt(position), leaderEpoch: -1 }));
  confirmed.clear();
  if (offsets.length > 0) await member.commit({ offsets });
}

let commitAt = performance.now() + COMMIT_EVERY;
let committing: Promise<void> = Promise.resolve();
let next = fetching.fetch();
while (!stop.signal.aborted) {
  const records = await next;
  next = fetching.fetch();
  const { messages, positions } = job === "count" ? count(records) : change(records);
  for (let start = 0; start < messages.length; start += SEND) {
    await settle(IN_FLIGHT - 1);
    const last = start + SEND >= messages.length;
    underWay.push({ sent: producer.send({ messages: messages.slice(start, start + SEND) }), positions: last ? positions : undefined });
  }
  if (messages.length === 0 && records.length > 0) underWay.push({ sent: Promise.resolve(), positions });
  if (performance.now() < commitAt) continue;
  commitAt = performance.now() + COMMIT_EVERY;
  await committing;
  committing = settle(IN_FLIGHT - 1).then(commit);
}
await next;
await settle(0);
await committing;
await commit();
await Promise.all([member.close(true), producer.close(), fetching[Symbol.asyncDispose]()]);
