/**
 * The job of bench/crayfish.ts written by hand on @platformatic/kafka, at the level of `fetch()`, and onnxruntime-node: nothing but what it needs.
 * At least once: positions are committed every second, and only those whose outputs are confirmed. The next reply is under
 * way while one is worked on, and so are up to eight calls of the producer. It runs until it gets a SIGTERM.
 *
 *   node bench/peers/crayfish-loop.ts BROKERS GROUP INPUT OUTPUT parse|scan|u8 MODEL
 */
import { compatibilityPartitioner, Consumer, ListOffsetTimestamps, type MessageToProduce, Producer } from "@platformatic/kafka";
import { InferenceSession, Tensor } from "onnxruntime-node";

import { type FetchedRecord, Fetching } from "../support/fetching.ts";

const [, , brokerList = "", group = "", input = "", output = "", decoder = "", model = ""] = process.argv;
const brokers = brokerList.split(",");
const PIXELS = 784;
const CLASSES = 10;
/** Pictures of one run of the model. */
const ROWS = 64;
/** Records of one call of the producer, at least. */
const SEND = 500;
const IN_FLIGHT = 8;
const COMMIT_EVERY = 1000;

type Message = MessageToProduce<Buffer, string, string, string>;

const session = await InferenceSession.create(model, { intraOpNumThreads: 1, interOpNumThreads: 1, executionMode: "sequential" });
const pixels = new Float32Array(ROWS * PIXELS);
const ofByte = Float32Array.from({ length: 256 }, (_, byte) => byte / 255);

function parse(value: Buffer, at: number): void {
  const numbers = (JSON.parse(value.toString("latin1")) as { readonly pixels: readonly number[] }).pixels;
  if (numbers.length !== PIXELS) throw new Error(`${numbers.length} pixels`);
  for (let index = 0; index < PIXELS; index++) pixels[at + index] = numbers[index] as number;
}

const TENTHS = [1, 10, 100, 1000, 10_000, 100_000, 1_000_000];

/** Numbers without sign and exponent, and nothing between them but commas. */
function scan(value: Buffer, at: number): void {
  let place = value.indexOf("[") + 1;
  for (let index = 0; index < PIXELS; index++) {
    let digits = 0;
    let byte = value[place++] as number;
    for (; byte >= 48 && byte <= 57; byte = value[place++] as number) digits = digits * 10 + byte - 48;
    if (byte === 46) {
      const point = place;
      for (byte = value[place++] as number; byte >= 48 && byte <= 57; byte = value[place++] as number) digits = digits * 10 + byte - 48;
      digits /= TENTHS[place - 1 - point] as number;
    }
    pixels[at + index] = digits;
    if (byte !== (index + 1 === PIXELS ? 93 : 44)) throw new Error("the pixels can't be read");
  }
}

function u8(value: Buffer, at: number): void {
  if (value.length !== PIXELS) throw new Error(`${value.length} pixels`);
  for (let index = 0; index < PIXELS; index++) pixels[at + index] = ofByte[value[index] as number] as number;
}

const decode = decoder === "u8" ? u8 : decoder === "scan" ? scan : parse;

/** Scores some records, at most `ROWS`. */
async function score(records: readonly FetchedRecord[]): Promise<Message[]> {
  for (const [row, { value }] of records.entries()) decode(value, row * PIXELS);
  const tensor = new Tensor("float32", pixels.subarray(0, records.length * PIXELS), [records.length, PIXELS]);
  const { probabilities } = await session.run({ pixels: tensor });
  const scores = probabilities?.data as Float32Array;
  return records.map(({ key, time }, row) => {
    let best = 0;
    const probs: number[] = [];
    for (let index = 0; index < CLASSES; index++) {
      const probability = scores[row * CLASSES + index] as number;
      if (probability > (scores[row * CLASSES + best] as number)) best = index;
      probs.push(Math.round(probability * 1e6) / 1e6);
    }
    const value = JSON.stringify({ id: key?.toString(), class: best, probs });
    return { topic: output, key: key as Buffer, value, timestamp: BigInt(time) };
  });
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
const underWay: { readonly sent: Promise<unknown>; readonly positions: ReadonlyMap<number, number> }[] = [];

async function settle(most: number): Promise<void> {
  while (underWay.length > most) {
    const { sent, positions } = underWay[0] as (typeof underWay)[number];
    await sent;
    underWay.shift();
    for (const [partition, position] of positions) confirmed.set(partition, position);
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
  let messages: Message[] = [];
  const positions = new Map<number, number>();
  for (let start = 0; start < records.length; start += ROWS) {
    const some = records.slice(start, start + ROWS);
    messages = messages.concat(await score(some));
    for (const { partition, offset } of some) positions.set(partition, offset + 1);
    if (messages.length < SEND && start + ROWS < records.length) continue;
    await settle(IN_FLIGHT - 1);
    underWay.push({ sent: producer.send({ messages }), positions: new Map(positions) });
    messages = [];
  }
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
