/**
 * Bids as NEXMark's generator makes them (nexmark/nexmark, nexmark-flink): of every 50 events the first is a person, the next
 * three are auctions, the other 46 are bids. Its random numbers have no seed there; here each event has its own, so that what
 * comes out can be checked. Bids have about 200 bytes as JSON.
 */
import { partitionOfKey } from "../../src/kafka/partitioner.ts";

export interface Bid {
  readonly auction: number;
  readonly bidder: number;
  readonly price: number;
  readonly channel: string;
  readonly url: string;
  readonly dateTime: number;
  readonly extra: string;
}

/** Events of all kinds for each second of event time: ten windows of ten seconds in a million. */
const RATE = 10_000;
/** Early, because Kafka Streams looks through all of time from 1970 on when it gives out its first window. */
const START = 86_400_000;
/** As the job counts them. */
const WINDOW = 10_000;
const FIRST_ID = 1000;
const ACTIVE_PEOPLE = 1000;
const IN_FLIGHT_AUCTIONS = 100;
const AHEAD = 10;
const HOT_CHANNELS = ["Google", "Facebook", "Baidu", "Apple"];
/** Bytes of a bid as JSON, about. */
const TARGET_BYTES = 200;

/** The first `count` bids, in order of time. */
export function* bids(count: number): Generator<Bid> {
  let made = 0;
  for (let id = 0; made < count; id++) {
    if (id % 50 < 4) continue;
    made++;
    yield bid(id, timeOf(id));
  }
}

/** One bid for each partition, at the moment when windows of 10 s that `count` bids are in close. Their auctions occur nowhere else. */
export function closingBids(count: number, partitions: number): Bid[] {
  const last = timeOf(Math.ceil((count * 50) / 46));
  const closing = last - (last % WINDOW) + WINDOW;
  const found: Bid[] = [];
  for (let auction = 0; auction < FIRST_ID; auction++) {
    const partition = partitionOfKey(String(auction), partitions);
    found[partition] ??= { ...bid(4, closing), auction };
  }
  return found;
}

function timeOf(id: number): number {
  return START + Math.floor((id * 1000) / RATE);
}

function bid(id: number, dateTime: number): Bid {
  const random = generator(id);
  const auctions = lastAuction(id);
  const hotAuction = Math.floor(auctions / 100) * 100;
  const coldest = Math.max(auctions - IN_FLIGHT_AUCTIONS, 0);
  const auction = random() < 0.5 ? hotAuction : coldest + Math.floor(random() * (auctions + AHEAD - coldest + 1));
  const people = Math.floor(id / 50);
  const active = Math.min(people + 1, ACTIVE_PEOPLE);
  const hotBidder = Math.floor(people / 100) * 100 + 1;
  const bidder = random() < 0.75 ? hotBidder : people + 1 - active + Math.floor(random() * (active + AHEAD));
  const price = Math.round(10 ** (6 * random()) * 100);
  const number = Math.floor(random() * 10_000);
  const channel = random() < 0.5 ? (HOT_CHANNELS[number % HOT_CHANNELS.length] as string) : `channel-${number}`;
  const url = `https://www.nexmark.com/${letters(random, 5)}/${letters(random, 5)}/${letters(random, 5)}/item.htm?query=1&channel_id=${number}`;
  const plain = { auction: FIRST_ID + auction, bidder: FIRST_ID + bidder, price, channel, url, dateTime, extra: "" };
  const missing = Math.max(0, TARGET_BYTES - JSON.stringify(plain).length);
  return { ...plain, extra: letters(random, Math.round(missing * (0.8 + 0.4 * random()))) };
}

/** The number of the newest auction at an event. */
function lastAuction(id: number): number {
  const epoch = Math.floor(id / 50);
  const place = id % 50;
  return place >= 4 ? epoch * 3 + 2 : epoch * 3 + place - 1;
}

/** Numbers from 0 to before 1 that depend on the seed alone (mulberry32, by Tommy Ettinger, in the public domain). */
function generator(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e3779b1);
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

function letters(random: () => number, length: number): string {
  let text = "";
  for (let index = 0; index < length; index++) text += String.fromCharCode(97 + Math.floor(random() * 26));
  return text;
}
