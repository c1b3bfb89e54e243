import { resolve } from "node:path";

import { sleep } from "../clock.ts";
import type { Settings, TaskStoreSettings } from "../config/settings.ts";
import type { Logger } from "../contracts.ts";
import { messageOf, PlannedStop } from "../errors.ts";
import { Catalog } from "./catalog.ts";
import type { CatalogPatience } from "./catalog.ts";
import { Inventory } from "./inventory.ts";
import type { Renewal } from "./inventory.ts";
import { FilesStore } from "./stores/files.ts";
import { RedisStore } from "./stores/redis.ts";
import { SqlStore } from "./stores/sql.ts";
import type { StoreContents, TaskStore } from "./stores/store.ts";
import { difference, isSame } from "./task-change.ts";
import { TaskChecker } from "./task-checker.ts";
import type { TaskChange, TaskSet } from "./task.ts";
import { WatchedStore } from "./watched-store.ts";

/** Knows the products and tasks, and says what changes. */
export interface TaskManager extends AsyncDisposable {
  /** What is known now. */
  current(): TaskSet;
  /**
   * Every change from the moment of the call on, those of `reload` too: none between `current()` and a `changes()` right
   * after it is missed. Changes that come while the consumer is busy are yielded as one. Ends when `signal` aborts or the
   * manager is disposed of.
   */
  changes(signal: AbortSignal): AsyncIterable<TaskChange>;
  /**
   * Finds and imports the products anew and reads every store. Tasks whose product's files changed count as changed.
   * @returns how the set differs from before; the same change also comes out of `changes`
   */
  reload(): Promise<TaskChange>;
}

export interface TaskManagerOptions {
  /** Told once of each mistake, when it arises, and of stores that go away and come back. */
  readonly logger: Logger;
  /** Ends the manager; while it is being opened, opening fails with the reason. */
  readonly signal: AbortSignal;
  /** How long product code may take. */
  readonly patience?: CatalogPatience;
  /**
   * So long are a store's answer and the checks of tasks waited for before the others go on without: the store counts as
   * away then, the task as pending, and a change says later what became of it. Milliseconds; without it all are waited for.
   */
  readonly hold?: number;
}

/** What a TaskManager needs of the settings. */
type TaskManagerSettings = Pick<Settings, "products" | "tasks"> & Partial<Pick<Settings, "directory">>;

/**
 * Finds the products, reads every task store once, checks each task against its product, and watches the stores from then
 * on. Nothing of that fails because of a product, a task or a store: what is wrong is in the task set, and a store that is
 * away is read as soon as it is back.
 *
 * A mistaken edit stops nothing that runs: a task that was valid and is mistaken now stays valid as it last was, and so do
 * the tasks of a file that can't be parsed, of a store that is away, and of a product that can't be imported any more. It
 * is among the invalid ones at the same time. A task ends when it, or its product's folder, is taken away.
 */
export async function openTaskManager(settings: TaskManagerSettings, options: TaskManagerOptions): Promise<TaskManager> {
  const manager = new Manager(settings, options);
  try {
    await manager.open();
  } catch (error) {
    await manager[Symbol.asyncDispose]();
    throw error;
  }
  return manager;
}

function storeOf(settings: TaskStoreSettings, directory: string | undefined): TaskStore {
  if ("files" in settings) return new FilesStore(settings.files, directory);
  return "redis" in settings ? new RedisStore(settings.redis) : new SqlStore(settings.sql);
}

/** After an update that failed as a whole, such as for want of processes. Milliseconds. */
const RETRY = 5_000;
/** How often it is looked for answers that were not waited for. Milliseconds. */
const LOOK = 250;

class Manager implements TaskManager {
  readonly #stores: readonly WatchedStore[];
  readonly #inventory: Inventory;
  readonly #checker = new TaskChecker();
  readonly #directory: string;
  readonly #logger: Logger;
  readonly #patience: CatalogPatience | undefined;
  readonly #hold: number | undefined;
  readonly #stop = new AbortController();
  readonly #signal: AbortSignal;
  #set: TaskSet = { valid: new Map(), invalid: [], products: [], brokenProducts: [], awayStores: [], pending: [] };
  /** Settles at the next change. */
  #next = Promise.withResolvers<void>();
  /** The last update, settled or not: updates run one after the other. */
  #last: Promise<unknown> = Promise.resolve();
  /** Whether an update waits that will see whatever changes until it begins. */
  #waiting = false;
  #watching: Promise<unknown> = Promise.resolve();
  /** The checks that updates went on without. */
  readonly #late = new Set<Promise<void>>();

  constructor(settings: TaskManagerSettings, { logger, signal, patience, hold }: TaskManagerOptions) {
    this.#stores = settings.tasks.map((store) => new WatchedStore(storeOf(store, settings.directory), logger));
    this.#inventory = new Inventory(settings.products);
    this.#directory = settings.directory ?? ".";
    this.#logger = logger;
    this.#patience = patience;
    this.#hold = hold;
    this.#signal = AbortSignal.any([signal, this.#stop.signal]);
  }

  async open(): Promise<void> {
    await this.reload();
    // Whether there is any valid task is to be known.
    while (this.#set.valid.size === 0 && (this.#set.pending.length > 0 || this.#set.awayStores.some(({ silent }) => silent)))
      await this.#nextChange();
    this.#watching = Promise.all(this.#stores.map((store) => this.#watch(store)));
  }

  async #watch(store: WatchedStore): Promise<void> {
    try {
      await store.watch(this.#signal, () => this.#storeChanged());
    } catch (error) {
      this.#logger.error({ store: store.name, reason: messageOf(error) }, "the task store is not watched any more; a reload reads it");
    }
  }

  current(): TaskSet {
    return this.#set;
  }

  changes(signal: AbortSignal): AsyncIterable<TaskChange> {
    return this.#follow(this.#set, AbortSignal.any([signal, this.#signal]));
  }

  /** Waits for the next change. @throws the reason of the signal */
  async #nextChange(): Promise<void> {
    const next = this.#next.promise;
    const ended = new Promise<never>((_, reject) => {
      this.#signal.addEventListener("abort", () => reject(this.#signal.reason as Error), { once: true });
    });
    this.#signal.throwIfAborted();
    await Promise.race([next, ended]);
  }

  async *#follow(seen: TaskSet, signal: AbortSignal): AsyncGenerator<TaskChange> {
    const ended = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => ended.resolve(), { once: true });
    while (!signal.aborted) {
      const now = this.#set;
      if (now === seen) await Promise.race([this.#next.promise, ended.promise]);
      else {
        yield difference(seen, now);
        seen = now;
      }
    }
  }

  async reload(): Promise<TaskChange> {
    await Promise.all(this.#stores.map((store) => store.readWithin(this.#signal, this.#hold, () => this.#storeChanged())));
    return await this.#afterLast(() => this.#update("all"));
  }

  #storeChanged(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    void this.#afterLast(() => this.#updateUntilDone());
  }

  /** Never rejects. Ends early when the manager does. */
  async #updateUntilDone(): Promise<void> {
    while (!this.#signal.aborted) {
      try {
        this.#waiting = false;
        await this.#update("new");
        return;
      } catch (error) {
        if (this.#signal.aborted) return;
        this.#logger.error({ reason: messageOf(error) }, "the tasks could not be checked: they stay as they are; trying again");
        await sleep(RETRY, this.#signal).catch(() => undefined);
      }
    }
  }

  #afterLast<T>(work: () => Promise<T>): Promise<T> {
    const result = this.#last.then(work);
    this.#last = result.catch(() => undefined);
    return result;
  }

  async #update(renewal: Renewal): Promise<TaskChange> {
    await using questions = new AsyncDisposableStack();
    const catalog = questions.use(new Catalog(this.#signal, this.#patience));
    await this.#inventory.renew(renewal, catalog, this.#modelFiles());
    const known = [...this.#inventory.products.values()];
    const own: StoreContents = { tasks: known.flatMap((product) => product.ownTasks), faults: [] };
    const contents = [...this.#stores.map((store) => store.contents), own];
    const { valid, invalid, pending, answered } = await this.#checker.check(contents, this.#inventory.products, catalog, this.#hold);
    if (answered !== undefined) {
      const late = this.#takeLate(answered, questions.move()).finally(() => this.#late.delete(late));
      this.#late.add(late);
    }
    return this.#become({
      valid,
      invalid: [...invalid, ...known.flatMap((product) => product.ownTasksFault ?? [])],
      products: known.flatMap((product) => product.info ?? []),
      brokenProducts: this.#inventory.broken,
      awayStores: this.#stores.flatMap(({ name, away, known, silent }) =>
        away === undefined ? [] : [{ store: name, reason: away, known, silent }],
      ),
      pending,
    });
  }

  /** Of the tasks that run, or could. */
  #modelFiles(): ReadonlySet<string> {
    const files = [...this.#set.valid.values()].flatMap(({ modelFiles }) => modelFiles);
    return new Set(files.map((file) => resolve(this.#directory, file)));
  }

  /** Takes in answers that an update did not wait for. */
  async #takeLate(answered: Promise<void>, questions: AsyncDisposableStack): Promise<void> {
    const looking = setInterval(() => {
      if (this.#checker.hasNews) this.#storeChanged();
    }, LOOK);
    try {
      await answered;
    } catch {
      // The next update asks again.
      await sleep(RETRY, this.#signal).catch(() => undefined);
    } finally {
      clearInterval(looking);
      await questions[Symbol.asyncDispose]();
    }
    this.#storeChanged();
  }

  #become(set: TaskSet): TaskChange {
    const before = this.#set;
    if (isSame(before, set)) return difference(before, before);
    this.#logFaults(before, set);
    this.#set = set;
    this.#next.resolve();
    this.#next = Promise.withResolvers();
    return difference(before, set);
  }

  #logFaults(before: TaskSet, after: TaskSet): void {
    const told = new Set([...before.invalid, ...before.brokenProducts].map((fault) => JSON.stringify(fault)));
    for (const product of after.brokenProducts) {
      if (told.has(JSON.stringify(product))) continue;
      this.#logger.error({ product: product.name, file: product.file, reason: product.reason }, "a product can't be used");
    }
    for (const task of after.invalid) {
      if (told.has(JSON.stringify(task))) continue;
      const { id, product, where, reason } = task;
      const message = task.replaced ? "a task is mistaken; what was valid under its id goes on" : "a task is mistaken and does not run";
      this.#logger.error({ task: id, product, where, reason }, message);
    }
    for (const { id, warnings } of after.valid.values()) {
      for (const warning of warnings) {
        if (!before.valid.get(id)?.warnings.includes(warning)) this.#logger.warn({ task: id }, warning);
      }
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort(new PlannedStop("the task manager was closed"));
    await Promise.allSettled([this.#watching, ...this.#late]);
    await this.#last;
  }
}
