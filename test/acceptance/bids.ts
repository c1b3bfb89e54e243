import { Deliveries } from "../support/deliveries.ts";
import { type Bid, bid, bidText, type BidTimes } from "../support/nexmark.ts";

/** How many events the larger tests have: MILLRACE_TEST_EVENTS, or this. */
export function eventCount(usual: number): number {
  const given = Number(process.env["MILLRACE_TEST_EVENTS"]);
  return Number.isSafeInteger(given) && given > 0 ? given : usual;
}

/** Bids from the `first`th to before the `end`th, as JSON with their auctions as keys. */
export function* keyedBids(first: number, end: number, times?: BidTimes): Generator<{ n: number; key: string; text: string }> {
  for (let n = first; n < end; n++) {
    const text = bidText(n, times);
    yield { n, key: auctionOf(text), text };
  }
}

function auctionOf(text: string): string {
  return /"auction":(\d+)/.exec(text)?.[1] ?? "";
}

/** Counts what the product `relay` made of the first bids. */
export function relayedBids(count: number): Deliveries {
  return new Deliveries(count, (n) => {
    const original: Bid = bid(n);
    return JSON.stringify({ ...original, price: Math.round(original.price * 0.908) });
  });
}
