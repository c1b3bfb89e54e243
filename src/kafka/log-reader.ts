import type { Event, Position } from "../batch.ts";
import { sleep } from "../clock.ts";
import type { Partition } from "../contracts.ts";
import { InfrastructureError, NotReadyError } from "../errors.ts";
import { Availability } from "./availability.ts";
import { brokerTrouble, leaderless } from "./broker-errors.ts";
import { type ConsumerContext, createConsumer, createDriver, type RecordValue } from "./consumer.ts";
import type { LogRange } from "./out-of-range.ts";

const SESSION = 10_000;
const PAUSE = 1000;
const MAX_WAITING = 1_048_576;

/**
 * Reads a topic's log from its start to its end as of now, without a consumer group, and ends. Records of one partition
 * come in their order, those of several by their timestamps as far as these rise. Keys are text byte by byte (latin1). Outages
 * are waited out.
 * @throws {NotReadyError} when the topic does not exist
 */
export async function* readLog(topic: string, context: ConsumerContext): AsyncGenerator<Event<RecordValue>> {
  const ranges = await rangesOf(topic, context);
  const wanted = new Map([...ranges].filter(([, { first, end }]) => end > first));
  if (wanted.size === 0) return;
  const settings = {
    topics: [topic],
    group: undefined,
    create: undefined,
    from: "earliest",
    onOutOfRange: "earliest",
    keyEncoding: "latin1",
    maxWaiting: MAX_WAITING,
    sessionTimeout: SESSION,
    rebalanceTimeout: SESSION,
    heartbeatInterval: SESSION / 3,
  } as const;
  await using consumer = await createConsumer(settings, context);
  const stop = new AbortController();
  const logs: AsyncGenerator<Event<RecordValue>>[] = [];
  try {
    for await (const partition of consumer.partitions(stop.signal)) {
      const range = wanted.get(numberOf(partition));
      if (range === undefined) continue;
      logs.push(readPartition(partition, range));
      if (logs.length === wanted.size) yield* merged(logs);
      if (logs.length === wanted.size) return;
    }
    context.signal.throwIfAborted();
  } finally {
    stop.abort();
    await Promise.all(logs.map((log) => log.return(undefined)));
  }
}

/** The partition's number: its name is `topic/number`. */
function numberOf({ name }: Partition): number {
  return Number(name.slice(name.lastIndexOf("/") + 1));
}

async function* readPartition(partition: Partition<RecordValue>, { first, end }: LogRange): AsyncGenerator<Event<RecordValue>> {
  await using opened = partition;
  for await (const batch of opened.read(first)) {
    for (const event of batch.events) if (event.offset < end) yield event;
    if (batch.position >= end) return;
  }
}

/** One event after the other, always the one with the earliest time of those that are next. */
async function* merged(logs: readonly AsyncGenerator<Event<RecordValue>>[]): AsyncGenerator<Event<RecordValue>> {
  const heads = (await Promise.all(logs.map(async (log) => ({ log, next: await log.next() })))).filter(({ next }) => next.done !== true);
  while (heads.length > 0) {
    const earliest = heads.reduce((least, head) => (head.next.value.time < least.next.value.time ? head : least));
    yield earliest.next.value;
    earliest.next = await earliest.log.next();
    if (earliest.next.done === true) heads.splice(heads.indexOf(earliest), 1);
  }
}

async function rangesOf(topic: string, context: ConsumerContext): Promise<ReadonlyMap<number, LogRange>> {
  const { connection, clientId, clock, signal, logger } = context;
  const availability = new Availability(`reading ${topic}`, logger, (reason) => context.waiting(reason));
  await using driver = await createDriver(connection, { clientId, requestTimeout: SESSION }, context);
  for (;;) {
    try {
      const leaders = (await driver.topics([topic])).get(topic)?.leaders ?? [];
      const ranges = await driver.ranges(topic, [...leaders.keys()]);
      const missing: Position[] = [...leaders.keys()].filter((partition) => !ranges.has(partition));
      if (missing.length > 0) throw new InfrastructureError(leaderless(missing.map((partition) => `${topic}/${partition}`).join(", ")));
      availability.up(topic);
      return ranges;
    } catch (error) {
      if (error instanceof NotReadyError) throw error;
      availability.down(topic, brokerTrouble(error, connection));
      await sleep(PAUSE, signal, clock);
    }
  }
}
