/** Bids in a topic. */
import { createProducer } from "../../src/kafka/create-producer.ts";
import { type OutgoingRecord, outgoingRecord } from "../../src/kafka/outgoing-record.ts";
import { benchContext } from "../measure.ts";
import { PARTITIONS } from "./broker.ts";
import { type Bid, bids, closingBids } from "./nexmark.ts";

const SEND = 10_000;

/** What is in the input, and what must come out. */
export interface Expected {
  /** All records, those that close the windows included. */
  readonly events: number;
  readonly priceSum: number;
  /** By key and start of the window, `KEY@START`. */
  readonly counts: ReadonlyMap<string, number>;
}

/** Writes so many bids, keyed by auction, and behind them one to each partition that closes all windows. */
export async function fill(brokers: string, topic: string, count: number): Promise<Expected> {
  const context = benchContext();
  const connection = { ...context.connections.kafka, brokers: brokers.split(",") };
  const producer = await createProducer(connection, { compression: "none", maxMessageBytes: 1_000_000 }, "bench", context.logger);
  await using _closed = producer;
  const writer = await producer.topic(topic, { create: undefined, signal: context.signal, waiting: () => undefined });
  const counts = new Map<string, number>();
  let priceSum = 0;
  let records: OutgoingRecord[] = [];
  const write = async (bid: Bid): Promise<void> => {
    records.push(outgoingRecord(String(bid.auction), JSON.stringify(bid), bid.dateTime, undefined));
    priceSum += bid.price * 0.908;
    if (records.length < SEND) return;
    await writer.send(records, context.signal);
    records = [];
  };
  for (const bid of bids(count)) {
    await write(bid);
    const window = `${bid.auction}@${bid.dateTime - (bid.dateTime % 10_000)}`;
    counts.set(window, (counts.get(window) ?? 0) + 1);
  }
  const closing = closingBids(count, PARTITIONS);
  for (const bid of closing) await write(bid);
  await writer.send(records, context.signal);
  return { events: count + closing.length, priceSum, counts };
}
