import assert from "node:assert/strict";
import { suite, test } from "node:test";
import type { TestContext } from "node:test";

import { InfrastructureError } from "../../src/errors.ts";
import type { StoreContents, TaskStore } from "../../src/tasks/stores/store.ts";
import { until } from "../support/until.ts";

/** A store to test, and how a user changes what it holds. */
export interface StoreHarness {
  readonly store: TaskStore;
  readonly put: (id: string, task: StoredObject) => Promise<void>;
  readonly remove: (id: string) => Promise<void>;
  /** Puts something that is no task at all under an id, as a mistaken user would. */
  readonly putBroken: (id: string) => Promise<void>;
  /** Makes the store unreachable, until `back`. */
  readonly away: () => Promise<void>;
  readonly back: () => Promise<void>;
}

export interface StoredObject {
  readonly product: string;
  readonly instances?: number;
  readonly enabled?: boolean;
  readonly config?: object;
}

/** What every task store must do. */
export function taskStoreSuite(name: string, open: (t: TestContext) => Promise<StoreHarness>): void {
  suite(`task store: ${name}`, () => {
    test("an empty store has no tasks", async (t) => {
      const { store } = await open(t);
      assert.deepEqual(await store.read(t.signal), { tasks: [], faults: [] });
    });

    test("tasks are read as they were written, in the order of their names", async (t) => {
      const { store, put } = await open(t);
      await put("b", { product: "p", instances: 3, enabled: false, config: { deep: [{ "x-y": 1.5, on: true, none: null }] } });
      await put("a", { product: "q" });
      const contents = await store.read(t.signal);
      assert.deepEqual(values(contents), [
        { id: "a", product: "q" },
        { id: "b", product: "p", instances: 3, enabled: false, config: { deep: [{ "x-y": 1.5, on: true, none: null }] } },
      ]);
      assert.deepEqual(contents.faults, []);
      assert.equal(new Set(contents.tasks.map((task) => task.where)).size, 2, "each place is named apart");
    });

    test("what is added, changed and removed is told of and read", async (t) => {
      const { store, put, remove } = await open(t);
      const changes = new Watch(store);
      t.after(() => changes.end());
      await put("a", { product: "p", config: { n: 1 } });
      await put("b", { product: "p" });
      await changes.until("both are there", (found) => found.length === 2);
      await put("a", { product: "p", config: { n: 2 } });
      const changed = await changes.until("a is changed", ([a]) => JSON.stringify(a).includes('"n":2'));
      assert.deepEqual(changed, [
        { id: "a", product: "p", config: { n: 2 } },
        { id: "b", product: "p" },
      ]);
      await remove("a");
      assert.deepEqual(await changes.until("a is gone", (found) => found.length === 1), [{ id: "b", product: "p" }]);
    });

    test("something broken is told with its place and harms no other task", async (t) => {
      const { store, put, putBroken } = await open(t);
      await put("a", { product: "p" });
      await putBroken("b");
      await put("c", { product: "p" });
      const { tasks, faults } = await store.read(t.signal);
      const good = tasks.filter((task) => task.faults.length === 0).map((task) => task.value);
      assert.deepEqual(good, [
        { id: "a", product: "p" },
        { id: "c", product: "p" },
      ]);
      const told = [...faults, ...tasks.flatMap((task) => task.faults.map((what) => ({ where: task.where, what })))];
      assert.equal(told.length, 1);
      assert.match(told[0]?.where ?? "", /b/);
      assert.match(told[0]?.what ?? "", /JSON|YAML/);
    });

    test("a store that is away is an error, never an empty store, and can be read when it is back", async (t) => {
      const { store, put, away, back } = await open(t);
      await put("a", { product: "p" });
      assert.equal(values(await store.read(t.signal)).length, 1);
      await away();
      await assert.rejects(store.read(t.signal), InfrastructureError);
      await back();
      assert.deepEqual(values(await store.read(t.signal)), [{ id: "a", product: "p" }]);
    });

    test("reading ends when it is given up", async (t) => {
      const { store } = await open(t);
      const reason = new Error("given up");
      await assert.rejects(store.read(AbortSignal.abort(reason)), reason);
    });
  });
}

function values(contents: StoreContents): readonly unknown[] {
  return contents.tasks.map((task) => task.value);
}

/** Reads the store each time that it tells of a change, and only then. */
class Watch {
  readonly #stop = new AbortController();
  readonly #done: Promise<void>;
  #latest: readonly unknown[] = [];

  constructor(store: TaskStore) {
    this.#done = this.#follow(store);
  }

  async #follow(store: TaskStore): Promise<void> {
    for await (const _ of store.changes(this.#stop.signal)) this.#latest = values(await store.read(this.#stop.signal));
  }

  until(what: string, condition: (found: readonly unknown[]) => boolean): Promise<readonly unknown[]> {
    return until(what, () => (condition(this.#latest) ? this.#latest : undefined));
  }

  async end(): Promise<void> {
    this.#stop.abort();
    await this.#done.catch(() => undefined);
  }
}
