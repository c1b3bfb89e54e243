import { fileURLToPath } from "node:url";

import { messageOf } from "../../errors.ts";
import type { CalledEntry, LaneCall } from "./call.ts";
import type { EntrySpec, LoadedEntry } from "./messages.ts";

/** Told of what happens to the lanes of an entry. */
export interface EntryEvents {
  /** Why no lane can answer it; undefined when one can again. */
  waiting(reason: string | undefined): void;
  /** A lane is started again. */
  restarted(): void;
}

/** What an entry asks of its dispatcher. */
interface EntryOwner {
  run(entry: CalledEntry, input: unknown, call: LaneCall): Promise<unknown>;
  unhost(entry: number): void;
}

/** A module that lanes host. Disposed of, it is unloaded; calls under way must be over. */
export class HostedEntry implements AsyncDisposable, CalledEntry {
  readonly number: number;
  readonly isSerial: boolean;
  readonly spec: EntrySpec;
  /** How many calls are worked on at a time: more only wait. */
  readonly capacity: number;
  readonly #events: EntryEvents | undefined;
  readonly #owner: EntryOwner;
  readonly #opening = Promise.withResolvers<LoadedEntry>();
  /** Lanes that may load it soon: it is open when there are none, and one has. */
  readonly #awaited: Set<object>;
  #loaded: LoadedEntry | undefined;
  #told: string | undefined;

  constructor(
    parts: {
      readonly number: number;
      readonly spec: EntrySpec;
      readonly events: EntryEvents | undefined;
      readonly capacity: number;
      readonly lanes: readonly object[];
    },
    owner: EntryOwner,
  ) {
    this.number = parts.number;
    this.spec = parts.spec;
    this.isSerial = parts.spec.kind === "rows";
    this.capacity = parts.capacity;
    this.#events = parts.events;
    this.#awaited = new Set(parts.lanes);
    this.#owner = owner;
    // Whoever opened it may have given up before.
    this.#opening.promise.catch(() => undefined);
  }

  /** What it is loaded from, for people. */
  get file(): string {
    return this.spec.url.startsWith("file:") ? fileURLToPath(this.spec.url) : this.spec.url;
  }

  get opening(): Promise<LoadedEntry> {
    return this.#opening.promise;
  }

  /** Whether a lane has loaded it once. */
  get isOpen(): boolean {
    return this.#loaded !== undefined;
  }

  /** What it is, once it was loaded. */
  get identity(): LoadedEntry["identity"] {
    return this.#loaded?.identity;
  }

  get types(): LoadedEntry["types"] {
    return this.#loaded?.types;
  }

  /**
   * Calls it in the lane with the least in flight. Rejects with what it threw, with an InfrastructureError when its time is up or it is given
   * up, with a LaneKilledError when lanes died of it, and with the signal's reason.
   */
  run(input: unknown, call: LaneCall): Promise<unknown> {
    return this.#owner.run(this, input, call);
  }

  /** A lane has loaded it. */
  loaded(loaded: LoadedEntry): void {
    this.#loaded ??= loaded;
  }

  /** This lane has it, or need not be waited for. */
  without(lane: object): void {
    this.#awaited.delete(lane);
    if (this.#awaited.size === 0 && this.#loaded !== undefined) this.#opening.resolve(this.#loaded);
  }

  /** A lane could not load it: of account until one has. */
  fail(error: unknown): void {
    this.#opening.reject(error instanceof Error ? error : new Error(messageOf(error)));
  }

  tell(reason: string | undefined): void {
    if (reason === this.#told) return;
    this.#told = reason;
    this.#events?.waiting(reason);
  }

  restarted(): void {
    this.#events?.restarted();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#owner.unhost(this.number);
    return Promise.resolve();
  }
}
