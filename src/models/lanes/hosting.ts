/**
 * In a lane: hosts the modules that it is told to load, and answers calls of them.
 */
import type { Logger } from "../../contracts.ts";
import { InfrastructureError, messageOf } from "../../errors.ts";
import type { Entry, EntryContext } from "./entry.ts";
import { failedRows, loadEntry } from "./entry.ts";
import type { CallsMessage, FromLane, Otherwise, RepliesMessage, ToLane } from "./messages.ts";
import { asBuffers } from "./packing.ts";
import { portable } from "./portable-error.ts";

/** The way to the dispatcher. */
export interface Channel {
  /** @throws when something in it can't be sent */
  post(message: FromLane): void;
  /** Says that all has been unloaded, and lets this lane end. */
  end(): void;
}

/** Answers are sent at the latest so long after the first of them, in milliseconds, while calls that compute follow each other. */
const ANSWER_WITHIN = 1;

/** All that runs in one lane. */
export class Hosting {
  readonly #channel: Channel;
  readonly #logger: Logger;
  readonly #entries = new Map<number, Hosted>();
  readonly #end = new AbortController();
  readonly #open = new Map<number, CallContext>();
  #replies: RepliesMessage = ["done", undefined];
  #flushing = false;
  #computingSince = 0;

  constructor(channel: Channel) {
    this.#channel = channel;
    this.#logger = loggerTo(channel, {});
  }

  hear(message: ToLane): void {
    switch (message[0]) {
      case "calls":
        this.#calls(message);
        break;
      case "cancel":
        this.#open.get(message[1])?.abort();
        break;
      case "load":
        void this.#load(message[1], message[2]);
        break;
      case "unload":
        void this.#unload(message[1]);
        break;
      case "end":
        void this.#endAll();
    }
  }

  async #load(number: number, spec: Parameters<typeof loadEntry>[0]): Promise<void> {
    try {
      const entry = await loadEntry(spec, this.#end.signal);
      this.#entries.set(number, new Hosted(entry));
      this.#channel.post(["loaded", number, entry.loaded]);
    } catch (error) {
      this.#channel.post(["unloadable", number, portable(error)]);
    }
  }

  async #unload(number: number): Promise<void> {
    const hosted = this.#entries.get(number);
    this.#entries.delete(number);
    try {
      await hosted?.entry.unload();
    } catch (error) {
      this.#logger.warn({}, `a model's unload failed: ${messageOf(error)}`);
    }
  }

  async #endAll(): Promise<void> {
    this.#end.abort(new InfrastructureError("the model is given up"));
    await Promise.all([...this.#entries.keys()].map((number) => this.#unload(number)));
    this.#channel.end();
  }

  #calls(message: CallsMessage): void {
    asBuffers(message[2]);
    this.#computingSince = performance.now();
    let call = message[1];
    for (let at = 3; at < message.length; at += 2) {
      const number = message[at] as number;
      const input = message[at + 1];
      const extra = number < 0 ? message[at++ + 2] : undefined;
      this.#begin(Math.abs(number), call++, input, extra);
    }
    this.#flush();
  }

  #begin(number: number, call: number, input: unknown, extra: unknown): void {
    const hosted = this.#entries.get(number);
    if (hosted === undefined) {
      this.#throw(call, new InfrastructureError("the model is not loaded here"));
      return;
    }
    const context = new CallContext(this.#end.signal, this.#logger, extra);
    if (hosted.entry.serial && hosted.busy) {
      this.#open.set(call, context);
      hosted.waiting.push({ call, input, context });
    } else this.#run(hosted, call, input, context);
  }

  /** Calls it, and sends what it gives; a promise at once where it is none. */
  #run(hosted: Hosted, call: number, input: unknown, context: CallContext): void {
    let output: unknown;
    try {
      output = hosted.entry.call(input, context);
    } catch (error) {
      this.#throw(call, error);
      this.#flushIfLate();
      return;
    }
    if (!isThenable(output)) {
      this.#answer(hosted, call, output);
      this.#flushIfLate();
      return;
    }
    hosted.busy = true;
    this.#open.set(call, context);
    output.then(
      (value) => {
        this.#answer(hosted, call, value);
        this.#settled(hosted, call);
      },
      (error: unknown) => {
        this.#throw(call, error);
        this.#settled(hosted, call);
      },
    );
  }

  #settled(hosted: Hosted, call: number): void {
    this.#open.delete(call);
    hosted.busy = false;
    this.#flushSoon();
    while (!hosted.busy) {
      const next = hosted.waiting.shift();
      if (next === undefined) return;
      this.#open.delete(next.call);
      if (next.context.isAborted) this.#throw(next.call, nobodyWaits());
      else this.#run(hosted, next.call, next.input, next.context);
    }
  }

  #answer(hosted: Hosted, call: number, output: unknown): void {
    const failed = hosted.entry.serial ? failedRows(output) : undefined;
    if (failed === undefined) {
      this.#replies.push(call, output);
      return;
    }
    const outputs = [...(output as unknown[])];
    const told = failed.map((part, index) => (index % 2 === 0 ? (part as number) : portable(part)));
    for (let index = 0; index < failed.length; index += 2) outputs[failed[index] as number] = undefined;
    this.#replies.push(-call, ["some", outputs, ...told] satisfies Otherwise);
  }

  #throw(call: number, error: unknown): void {
    this.#replies.push(-call, ["threw", portable(error)] satisfies Otherwise);
  }

  /** What settles in the same turn of the event loop goes in one message. */
  #flushSoon(): void {
    if (this.#flushing) return;
    this.#flushing = true;
    process.nextTick(() => {
      this.#flushing = false;
      this.#flush();
    });
  }

  #flushIfLate(): void {
    const now = performance.now();
    if (now - this.#computingSince < ANSWER_WITHIN) return;
    this.#flush();
    this.#computingSince = now;
  }

  #flush(): void {
    const replies = this.#replies;
    if (replies.length === 2) return;
    this.#replies = ["done", undefined];
    try {
      this.#channel.post(replies);
    } catch {
      this.#postOneByOne(replies);
    }
  }

  /** Something in it can't be sent: the call that gave it is told so. */
  #postOneByOne(replies: RepliesMessage): void {
    for (let at = 2; at < replies.length; at += 2) {
      const call = replies[at] as number;
      try {
        this.#channel.post(["done", undefined, call, replies[at + 1]]);
      } catch (error) {
        const told = new TypeError(`what it returned can't leave its thread or process: ${messageOf(error)}; return plain data`);
        this.#channel.post(["done", undefined, -Math.abs(call), ["threw", portable(told)] satisfies Otherwise]);
      }
    }
  }
}

/** Logs where the dispatcher does. */
function loggerTo(channel: Channel, own: object): Logger {
  const log = (level: "debug" | "info" | "warn" | "error") => (fields: object, message: string) => {
    try {
      channel.post(["log", level, { ...own, ...fields }, message]);
    } catch {
      // Its fields can't be sent.
      channel.post(["log", level, own, message]);
    }
  };
  const child = (fields: object) => loggerTo(channel, { ...own, ...fields });
  return { debug: log("debug"), info: log("info"), warn: log("warn"), error: log("error"), child };
}

/** An entry and what waits for it. */
class Hosted {
  readonly entry: Entry;
  busy = false;
  readonly waiting: { readonly call: number; readonly input: unknown; readonly context: CallContext }[] = [];

  constructor(entry: Entry) {
    this.entry = entry;
  }
}

/** Makes its signal only when someone asks for it: most calls have no use for one. */
class CallContext implements EntryContext {
  readonly logger: Logger;
  readonly #end: AbortSignal;
  #own: AbortController | undefined;
  #signal: AbortSignal | undefined;

  constructor(end: AbortSignal, logger: Logger, extra: unknown) {
    this.#end = end;
    this.logger = logger;
    if (extra !== undefined) Object.assign(this, extra);
  }

  get signal(): AbortSignal {
    this.#own ??= new AbortController();
    this.#signal ??= AbortSignal.any([this.#own.signal, this.#end]);
    return this.#signal;
  }

  abort(): void {
    this.#own ??= new AbortController();
    this.#own.abort(nobodyWaits());
  }

  get isAborted(): boolean {
    return this.#own?.signal.aborted === true;
  }
}

function nobodyWaits(): InfrastructureError {
  return new InfrastructureError("nobody waits for the answer any more");
}

function isThenable(value: unknown): value is PromiseLike<unknown> {
  return typeof value === "object" && value !== null && "then" in value && typeof value.then === "function";
}
