import { InfrastructureError } from "../../errors.ts";

/** What goes with the input of a call. */
export interface LaneCall {
  /** Aborts when nobody waits for the answer any more. */
  readonly signal: AbortSignal;
  /** The clock's `elapsed` at which the answer is worth nothing any more; Infinity for never. */
  readonly until: number;
  /** Plain data that a function finds in its context beside `signal`. */
  readonly context?: object | undefined;
}

/** What is called. */
export interface CalledEntry {
  readonly number: number;
  readonly isSerial: boolean;
}

/** A call on its way: waiting for a lane, or in one. Its input is kept until it is answered, since its lane may die. */
export class Call {
  readonly entry: number;
  /** Whether its lane begins it only when it has done the calls of the same entry before it. */
  readonly isSerial: boolean;
  readonly input: unknown;
  readonly context: object | undefined;
  readonly signal: AbortSignal;
  readonly until: number;
  readonly resolve: (output: unknown) => void;
  readonly reject: (error: unknown) => void;
  answered = false;
  /** How many lanes ended while it was in them. */
  deaths = 0;
  /** Its number in its lane. */
  number = 0;
  /** When its lane counts as hanging, by the machine's clock: its time was up, and it has not come back. */
  hangsAt = Number.POSITIVE_INFINITY;

  constructor(entry: CalledEntry, input: unknown, call: LaneCall, resolve: Call["resolve"], reject: Call["reject"]) {
    this.entry = entry.number;
    this.isSerial = entry.isSerial;
    this.input = input;
    this.context = call.context;
    this.signal = call.signal;
    this.until = call.until;
    this.resolve = resolve;
    this.reject = reject;
  }
}

/** The lane of a call has ended again and again while it worked on nothing else: the input is at fault. */
export class LaneKilledError extends Error {
  override readonly name = "LaneKilledError";
}

/** The lane of a call has ended, and the call may not be given to another. */
export class LaneLostError extends InfrastructureError {
  override readonly name = "LaneLostError";
}

/** The time of a call is up. */
export class LaneTimeoutError extends InfrastructureError {
  override readonly name = "LaneTimeoutError";
}

/** The input of a call can't leave the worker. */
export class UnsendableError extends Error {
  override readonly name = "UnsendableError";
}
