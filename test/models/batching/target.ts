import type { Clock } from "../../../src/clock.ts";
import { noModelStats } from "../../../src/model-stats.ts";
import type { Batching, CallerOptions, ModelAnswer, ModelCall, ModelCaller } from "../../../src/model.ts";
import type { BatchTarget } from "../../../src/models/batcher.ts";
import { Batcher } from "../../../src/models/batcher.ts";
import { eventOf } from "../../support/open-context.ts";

/** What the model of these tests answers with. */
export const IDENTITY = { name: "m", version: "1" };

/** A call that the target has. */
export interface Sent {
  readonly rows: readonly unknown[];
  readonly call: ModelCall;
  /** Answers with each row doubled, or with what is given. */
  answer(outputs?: ArrayLike<unknown>): void;
  fail(error: unknown): void;
}

/** A model that answers when it is told to. */
export class Target implements BatchTarget {
  readonly identity = IDENTITY;
  readonly stats = noModelStats();
  capacity = 1;
  /** All calls that it was given, in order. */
  readonly sent: Sent[] = [];

  send(rows: readonly unknown[], call: ModelCall): Promise<ModelAnswer> {
    const { promise, resolve, reject } = Promise.withResolvers<ModelAnswer>();
    const answer = (outputs: ArrayLike<unknown> = rows.map((row) => Number(row) * 2)) => resolve({ outputs, identity: IDENTITY });
    this.sent.push({ rows, call, answer, fail: reject });
    return promise;
  }

  /** The rows of each call so far. */
  get rows(): readonly (readonly unknown[])[] {
    return this.sent.map(({ rows }) => rows);
  }

  get last(): Sent {
    return this.sent.at(-1) as Sent;
  }
}

/** Batching without a delay and with much room. */
export const BATCHING: Batching = { maxSize: 8, maxDelay: 0, maxQueuedRows: 1000, maxQueuedBytes: 1_000_000 };

/** A batcher over a target of its own. */
export function batcherOver(clock: Clock): { readonly target: Target; readonly batcher: Batcher } {
  const target = new Target();
  return { target, batcher: new Batcher(target, clock) };
}

/** A caller with options where they matter. */
export function callerOf(batcher: Batcher, options: Partial<CallerOptions> = {}, batching: Partial<Batching> = {}): ModelCaller {
  return batcher.caller({ name: "test/infer/0", maxInFlight: 8, priority: 0, ...options }, { ...BATCHING, ...batching });
}

/** What comes with inputs. */
export function callOf(inputs: readonly unknown[], given: { readonly signal?: AbortSignal; readonly until?: number } = {}): ModelCall {
  return {
    events: inputs.map((input, index) => ({ ...eventOf(input, index), size: 10 })),
    signal: given.signal ?? new AbortController().signal,
    until: given.until ?? Number.POSITIVE_INFINITY,
  };
}

/** Asks for the rows, and gives the outputs as an array. */
export async function ask(
  caller: ModelCaller,
  inputs: readonly unknown[],
  given: { readonly signal?: AbortSignal; readonly until?: number } = {},
): Promise<readonly unknown[]> {
  const { outputs } = await caller.predict(inputs, callOf(inputs, given));
  return Array.from(outputs);
}
