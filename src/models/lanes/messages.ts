/**
 * What a dispatcher and its lanes say to each other. Arrays and not objects, flat where there is much of it: each call costs
 * as little as it can.
 */
import type { ModelIdentity } from "../../model-stats.ts";
import type { PortableError } from "./portable-error.ts";

/** What a lane hosts: a module, and how it is called. */
export interface EntrySpec {
  /** `rows`: the module is a model, its `predict` is given all inputs of a call. `each`: an export of it is called with the value of each call. */
  readonly kind: "rows" | "each";
  /** `import.meta.resolve("./model.ts")` */
  readonly url: string;
  /** What its file held when the model was loaded first: a lane that takes the place of another is to be of the same version. */
  readonly text?: string | undefined;
  /** The export that is called, of `each`; default "default". */
  readonly exportName?: string | undefined;
  /** Plain data for the model's `load`. */
  readonly settings?: unknown;
}

/** What a lane says of a module that it has loaded. */
export interface LoadedEntry {
  /** Of a model; undefined for a function. */
  readonly identity: ModelIdentity | undefined;
  readonly types: { readonly inputs: string | undefined; readonly outputs: string | undefined } | undefined;
}

/** To a lane. */
export type ToLane =
  | readonly ["load", entry: number, spec: EntrySpec]
  | readonly ["unload", entry: number]
  | readonly ["cancel", call: number]
  /** Unload all, say `ended`, and end. */
  | readonly ["end"]
  | CallsMessage;

/**
 * Some calls, numbered upwards from `first`: `entry, input` of each, or `-entry, input, context` where it has a context. The views
 * are those that were Buffers.
 */
export type CallsMessage = ["calls", first: number, buffers: readonly Uint8Array[] | undefined, ...calls: unknown[]];

/** From a lane. */
export type FromLane =
  /** It runs and can be told to load. */
  | readonly ["up"]
  | readonly ["loaded", entry: number, loaded: LoadedEntry]
  | readonly ["unloadable", entry: number, error: PortableError]
  | readonly ["log", level: "debug" | "info" | "warn" | "error", fields: object, message: string]
  /** It is about to end, and why. */
  | readonly ["dying", reason: string]
  | readonly ["ended"]
  | RepliesMessage;

/** Answers: `call, output` of each, or `-call, Otherwise`. */
export type RepliesMessage = ["done", buffers: readonly Uint8Array[] | undefined, ...replies: unknown[]];

/** What is said of a call that has no plain output. */
export type Otherwise =
  | readonly ["threw", error: PortableError]
  /** Some rows failed: `index, error` of each; undefined stands in their place. */
  | readonly ["some", outputs: unknown, ...failed: (number | PortableError)[]];

/** Messages that a lane can have under way when it has all the calls that it takes: while it works on one, the answers of another are passed on. */
const MESSAGES_UNDER_WAY = 4;
/** More calls in one message gain nothing, and the first of them would wait for the last. */
const MOST_PER_MESSAGE = 64;

/** How many calls go in one message at the most. @param maxInFlight calls in one lane at a time */
export function callsPerMessage(maxInFlight: number): number {
  return Math.min(MOST_PER_MESSAGE, Math.max(2, Math.ceil(maxInFlight / MESSAGES_UNDER_WAY)));
}
