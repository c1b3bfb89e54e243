/**
 * The bids of the NEXMark benchmark (github.com/nexmark/nexmark), made up by the number of each event alone, so that the same
 * number always gives the same bid. As there: of 50 events one is a person, three are auctions and 46 are bids; half of the
 * bids are for the hottest auction, three quarters from the hottest bidder; 10,000 events a second of event time.
 *
 * Beside NEXMark's fields a bid has its number `n`, so that a reader can tell which are missing; a thousand is added to
 * bidders once, where the original adds it twice; the filling makes bids 200 bytes of JSON on average instead of 100.
 */
export interface Bid {
  /** The how-manieth bid, from 0. */
  readonly n: number;
  readonly auction: number;
  readonly bidder: number;
  readonly price: number;
  readonly channel: string;
  readonly url: string;
  /** Milliseconds since the epoch. */
  readonly dateTime: number;
  readonly extra: string;
}

const OF_EVENTS = 50;
const BIDS = 46;
const BEFORE_BIDS = OF_EVENTS - BIDS;
const AUCTIONS = 3;
const FIRST_ID = 1000;
const HOT_EVERY = 100;
const PEOPLE_LEAD = 10;
const ACTIVE_PEOPLE = 1000;
const IN_FLIGHT_AUCTIONS = 100;
const AUCTIONS_LEAD = 10;
const EVENTS_PER_MS = 10;
const CHANNELS = ["Google", "Facebook", "Baidu", "Apple"];
const AVERAGE_BYTES = 200;
/** 2026-01-01T00:00:00Z. */
const START = 1_767_225_600_000;

/** Which times bids have. */
export interface BidTimes {
  /** Events of a group of so many are shuffled; NEXMark's default is 1, none. A group spans a tenth of this in milliseconds. */
  readonly group?: number;
  /** The time of the first event, in milliseconds since the epoch; default 2026-01-01T00:00:00Z. */
  readonly start?: number;
}

/** The `n`th bid. */
export function bid(n: number, { group = 1, start = START }: BidTimes = {}): Bid {
  const inOrder = Math.floor(n / BIDS) * OF_EVENTS + BEFORE_BIDS + (n % BIDS);
  const event = Math.floor(inOrder / group) * group + ((inOrder * 953) % group);
  const random = randomOf(n);
  const epoch = Math.floor(event / OF_EVENTS);
  const lastPerson = epoch;
  const lastAuction = epoch * AUCTIONS + AUCTIONS - 1;
  const oldest = Math.max(lastAuction - IN_FLIGHT_AUCTIONS, 0);
  const auction = random() < 1 / 2 ? hot(lastAuction) : oldest + below(lastAuction + AUCTIONS_LEAD - oldest + 1, random);
  const active = Math.min(lastPerson + 1, ACTIVE_PEOPLE);
  const bidder = random() < 3 / 4 ? hot(lastPerson) + 1 : lastPerson + 1 - active + below(active + PEOPLE_LEAD, random);
  const price = Math.round(10 ** (6 * random()) * 100);
  const channel = random() < 1 / 2 ? (CHANNELS[below(4, random)] as string) : `channel-${below(10_000, random)}`;
  const url = `https://www.nexmark.com/${channel.toLowerCase()}/item.htm?query=1`;
  const dateTime = start + Math.floor(event / EVENTS_PER_MS);
  const bare = { n, auction: FIRST_ID + auction, bidder: FIRST_ID + bidder, price, channel, url, dateTime, extra: "" };
  return { ...bare, extra: filling(AVERAGE_BYTES - JSON.stringify(bare).length, random) };
}

/** The `n`th bid as JSON. */
export function bidText(n: number, times?: BidTimes): string {
  return JSON.stringify(bid(n, times));
}

function hot(last: number): number {
  return Math.floor(last / HOT_EVERY) * HOT_EVERY;
}

function below(limit: number, random: () => number): number {
  return Math.floor(random() * limit);
}

/** Numbers in [0, 1), the same for the same seed (mulberry32, by Tommy Ettinger, in the public domain). */
export function randomOf(seed: number): () => number {
  let state = Math.imul(seed + 1, 0x9e37_79b1);
  return () => {
    state = (state + 0x6d2b_79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const LETTERS = lettersOf(randomOf(0), 4096);

/** Letters, 20 % more or fewer than `length`. */
function filling(length: number, random: () => number): string {
  if (length <= 0) return "";
  const wanted = Math.round(length * (0.8 + 0.4 * random()));
  const start = below(LETTERS.length - wanted, random);
  return LETTERS.slice(start, start + wanted);
}

function lettersOf(random: () => number, length: number): string {
  return Array.from({ length }, () => String.fromCodePoint(97 + below(26, random))).join("");
}
