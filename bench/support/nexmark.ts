import { partitionOfKey } from "../../src/kafka/partitioner.ts";
/** The bids of the NEXMark benchmark, and those that close the windows behind them. */
import { type Bid, bid } from "../../test/support/nexmark.ts";

export type { Bid };

/** Early, because Kafka Streams looks through all of time from 1970 on when it gives out its first window. */
const EARLY = { start: 86_400_000 };
/** As the job counts them. */
const WINDOW = 10_000;
/** The bids' own auctions begin there. */
const FIRST_AUCTION = 1000;

/** The first `count` bids, in order of time. */
export function* bids(count: number): Generator<Bid> {
  for (let n = 0; n < count; n++) yield bid(n, EARLY);
}

/** One bid for each partition, at the moment when windows of 10 s that `count` bids are in close. Their auctions occur nowhere else. */
export function closingBids(count: number, partitions: number): Bid[] {
  const next = bid(count, EARLY);
  const closing = next.dateTime - (next.dateTime % WINDOW) + WINDOW;
  const found: Bid[] = [];
  for (let auction = 0; auction < FIRST_AUCTION; auction++) {
    const partition = partitionOfKey(String(auction), partitions);
    found[partition] ??= { ...next, auction, dateTime: closing };
  }
  return found;
}
