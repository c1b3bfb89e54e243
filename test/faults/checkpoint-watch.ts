/** Looks at the checkpoints of a run while it goes on, past the proxies. */
import { setTimeout as delay } from "node:timers/promises";

import type { CheckpointStoreSettings } from "../../src/checkpoint-settings.ts";
import { openCheckpointStore } from "../../src/checkpoints/open.ts";
import { systemClock } from "../../src/clock.ts";
import { decodeManifest } from "../../src/pipeline/state/manifest.ts";
import { openSharedResources } from "../../src/shared-resources.ts";
import { silent } from "../support/kafka-topics.ts";
import type { Owner } from "../support/temp-folder.ts";
import type { OwnServices } from "./own-services.ts";

/** Positions by the names of partitions. */
export type Positions = ReadonlyMap<string, number>;

/** How often the saved positions are looked at, in milliseconds: what is wrong may last only until the next save. */
const LOOK_EVERY = 40;
/** Looks at what is saved for each look at what is committed. */
const LOOKS = 5;
const MOST_PROBLEMS = 5;
/** Milliseconds that a store may take to answer. */
const ANSWER_WITHIN = 5000;

/** What a watch looks at. Both may reject while a service is away. */
export interface Watched {
  /** What the input's broker says is done. Without partitions of which nothing is. */
  readonly committed: () => Promise<Positions>;
  readonly saved: () => Promise<Positions>;
}

/**
 * Watches what no result shows for sure: that no position is committed before it is saved, and that saved positions never fall,
 * as they do when a former owner's save is taken.
 */
export class CheckpointWatch {
  readonly #watched: Watched;
  readonly #end = new AbortController();
  readonly #watching: Promise<void>;
  readonly #highest = new Map<string, number>();
  readonly #problems: string[] = [];
  #looks = 0;

  constructor(watched: Watched) {
    this.#watched = watched;
    this.#watching = this.#watch();
  }

  /** Ends it, and gives what was wrong. @throws Error when it saw nothing at all */
  async end(): Promise<readonly string[]> {
    this.#end.abort();
    await this.#watching;
    if (this.#looks === 0) throw new Error("no checkpoint was ever seen");
    return this.#problems;
  }

  async #watch(): Promise<void> {
    const { signal } = this.#end;
    while (!signal.aborted) {
      try {
        const committed = await this.#watched.committed();
        for (let look = 0; look < LOOKS && !signal.aborted; look++) {
          this.#look(await this.#watched.saved(), look === 0 ? committed : undefined);
          await delay(LOOK_EVERY, undefined, { signal });
        }
      } catch {
        // A service is away: that is what these runs are about.
        await delay(LOOK_EVERY);
      }
    }
  }

  #look(saved: Positions, committed: Positions | undefined): void {
    if (saved.size > 0) this.#looks += 1;
    for (const [name, position] of saved) {
      const highest = this.#highest.get(name) ?? position;
      if (position < highest) this.#problem(`${name}: what was saved went back from position ${highest} to ${position}`);
      this.#highest.set(name, Math.max(position, highest));
    }
    // It was read before what is saved, which only rises.
    for (const [name, position] of committed ?? []) {
      const last = saved.get(name);
      if (last === undefined || last < position)
        this.#problem(`${name}: position ${position} is committed, and ${last ?? "none"} is saved`);
    }
  }

  #problem(text: string): void {
    if (this.#problems.length < MOST_PROBLEMS && !this.#problems.includes(text)) this.#problems.push(text);
  }
}

/**
 * Reads the positions in a store of checkpoints, past the proxies; undefined for one that can't be read by others meanwhile.
 * The owner closes it.
 */
export async function savedPositions(
  owner: Owner,
  store: CheckpointStoreSettings,
  { addresses }: OwnServices,
  task: string,
): Promise<(() => Promise<Positions>) | undefined> {
  if ("file" in store) return undefined;
  const connections = {
    kafka: { brokers: [], client: "platformatic", ssl: false, sasl: undefined },
    nats: { servers: [addresses.nats], credentials: undefined },
    redis: { url: addresses.redis },
  } as const;
  const context = { connections, shared: openSharedResources(), logger: silent, clock: systemClock };
  const own = "redis" in store ? { redis: { url: addresses.redis } } : store;
  const lease = await openCheckpointStore(own, context);
  owner.after(() => lease[Symbol.asyncDispose]());
  return async () => {
    const saved = new Map<string, number>();
    for (const { name, manifests } of await lease.resource.list(task, AbortSignal.timeout(ANSWER_WITHIN))) {
      const [newest] = manifests;
      if (newest !== undefined) saved.set(name.partition, decodeManifest(newest).position);
    }
    return saved;
  };
}
