/**
 * What is right for adaptive batching, step by step: to see whether a case tells what MLServer does, and what is to come of it here.
 */

/** A request: when it comes, in seconds, and how many rows it has. */
export type Request = readonly [at: number, rows: number];

/** How batches are made. */
export interface AdaptiveRules {
  readonly size: number;
  /** Seconds. */
  readonly time: number;
  /** What `size` counts. */
  readonly counts: "requests" | "rows";
  /** Whether a request waits for others though there can be none. */
  readonly alone: "waits" | "goes";
}

/** A call of the model: when, and the indexes of its requests. */
export interface AdaptiveCall {
  readonly at: number;
  readonly requests: readonly number[];
}

/** The calls of the model, in order. */
export function adaptiveCalls(requests: readonly Request[], { size, time, counts, alone }: AdaptiveRules): readonly AdaptiveCall[] {
  const [only] = requests;
  if (alone === "goes" && only !== undefined && requests.length === 1) return [{ at: only[0], requests: [0] }];
  const weight = (index: number) => (counts === "rows" ? (requests[index]?.[1] ?? 0) : 1);
  const total = (indexes: readonly number[]) => indexes.reduce((sum, index) => sum + weight(index), 0);
  const calls: AdaptiveCall[] = [];
  let waiting: number[] = [];
  const send = (at: number) => {
    let taken = 1;
    while (taken < waiting.length && total(waiting.slice(0, taken + 1)) <= size) taken += 1;
    calls.push({ at, requests: waiting.slice(0, taken) });
    waiting = waiting.slice(taken);
  };
  const due = () => (requests[waiting[0] ?? -1]?.[0] ?? Number.POSITIVE_INFINITY) + time;
  for (const [index, [at]] of requests.entries()) {
    while (due() <= at) send(due());
    waiting.push(index);
    while (total(waiting) >= size) send(at);
  }
  while (waiting.length > 0) send(due());
  return calls;
}
