/**
 * What Storey 1.14.1 and streamz 0.6.6 were seen to do, for the features that Millrace takes after: the cases of the
 * same number in the project's collection. Where Millrace differs on purpose, `seed-cases.test.ts` says so.
 */

/** Calls that fail so often before they return ten times the event 7. Waits in seconds. */
export const RETRIES = [
  { id: "S001", retries: undefined, factor: undefined, failures: 1, result: "fail1", attempts: 1, waits: [] },
  { id: "S004", retries: 3, factor: undefined, failures: 5, result: "fail4", attempts: 4, waits: [1, 2, 4] },
  { id: "S006", retries: 2, factor: 0.5, failures: 2, result: 70, attempts: 3, waits: [0.5, 1] },
  { id: "S007", retries: 9, factor: 1, failures: 9, result: 70, attempts: 10, waits: [1, 2, 4, 8, 16, 32, 64, 120, 120] },
] as const;

/** Milliseconds that each event's call takes, with four at a time; the results come in the same order. */
export const SLEEPS = { id: "S009", maxInFlight: 4, sleeps: [200, 10, 150, 5, 1] } as const;

/** The most calls of twelve that are under way at once. */
export const CONCURRENCY = [
  { id: "S011", maxInFlight: 1 },
  { id: "S012", maxInFlight: 2 },
  { id: "S014", maxInFlight: 3 },
] as const;

/** Options that are refused, and what the error says. */
export const REFUSED_CALLS = [
  { id: "S015", maxInFlight: 0, message: /may not be less than 1 \(got 0\)/ },
  { id: "S016", maxInFlight: -1, message: /may not be less than 1 \(got -1\)/ },
] as const;

/** Batches of what is given one after the other. */
export const BATCHES = [
  {
    id: "S032",
    size: 4,
    key: undefined,
    input: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map((v) => ({ k: "a", v })),
    output: [
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ],
  },
  {
    id: "S033",
    size: 2,
    key: "k",
    input: [
      { k: "a", v: 1 },
      { k: "b", v: 2 },
      { k: "a", v: 3 },
      { k: "b", v: 4 },
      { k: "c", v: 5 },
      { k: "a", v: 6 },
    ],
    output: [[1, 3], [2, 4], [5], [6]],
  },
  { id: "S044", size: 2, key: undefined, input: [1, 2, 3].map((v) => ({ k: "a", v })), output: [[1, 2], [3]] },
] as const;

/** Batches by size and time: when each event comes and when each batch is given, in milliseconds. */
export const TIMED_BATCHES = [
  {
    id: "S037",
    options: { size: 100, time: 300, key: "k" },
    input: [
      { at: 0, k: "a", v: 1 },
      { at: 200, k: "b", v: 2 },
    ],
    output: [
      [300, [1]],
      [500, [2]],
    ],
  },
  {
    id: "S100",
    options: { size: 3, time: 200, key: undefined },
    input: [
      { at: 0, k: "x", v: 1 },
      { at: 50, k: "x", v: 2 },
      { at: 300, k: "x", v: 3 },
      { at: 310, k: "x", v: 4 },
      { at: 320, k: "x", v: 5 },
      { at: 600, k: "x", v: 6 },
    ],
    output: [
      [200, [1, 2]],
      [320, [3, 4, 5]],
      [800, [6]],
    ],
  },
] as const;

/** Options of `batch` that are refused, and what the error says. */
export const REFUSED_BATCHES = [
  { id: "S040", options: { size: 0 }, message: /size must be a whole number, 1 or more \(got 0\)/ },
  { id: "S041", options: { size: 2.5 }, message: /size must be a whole number, 1 or more \(got 2\.5\)/ },
  { id: "S042", options: { size: 1, time: -1 }, message: /time: -1 is no duration/ },
  { id: "S043", options: { size: 1, time: "x" }, message: /time: "x" is no duration/ },
] as const;
