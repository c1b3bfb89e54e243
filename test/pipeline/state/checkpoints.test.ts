import assert from "node:assert/strict";
import { test } from "node:test";

import type { Step } from "millrace";
import { count, from, sum, tumbling } from "millrace";

import type { Batch } from "../../../src/batch.ts";
import type { Partition } from "../../../src/contracts.ts";
import { ConfigError, InfrastructureError, PlannedStop } from "../../../src/errors.ts";
import { createInstance } from "../../../src/pipeline/instance.ts";
import type { Plan } from "../../../src/pipeline/plan.ts";
import { decodeManifest, encodeManifest } from "../../../src/pipeline/state/manifest.ts";
import { keepsCheckpoints } from "../../../src/pipeline/state/open-checkpoints.ts";
import { bareContext } from "../../support/bare-context.ts";
import { MemoryCheckpoints } from "../../support/memory-checkpoints.ts";
import { until } from "../../support/until.ts";
import { sinkOf, sourceOf } from "../source-of.ts";
import type { Attempt, Given } from "./restarted.ts";
import { restarted } from "./restarted.ts";

interface Reading {
  readonly at: number;
}

/** One reading a millisecond, of one key. */
function readings(n: number): Given[] {
  return Array.from({ length: n }, (_, at) => ({ value: { at }, key: "a" }));
}

const windowed = (size: number, name = "window") =>
  from(sourceOf<Reading>())
    .timeBy(({ at }) => at)
    .window(tumbling(size), { name, fold: { n: count() } })
    .to(sinkOf());

const stopAt = (events: number): Attempt => ({ events, ending: "stop", batchSize: 5 });
const values = (results: readonly { readonly value: unknown }[]) =>
  results.map(({ value }) => {
    const { start, value: folded } = value as { readonly start: number; readonly value: { readonly n: number } };
    return { start, n: folded.n };
  });

/** What an attempt on top of saved state is refused with. */
async function refusal(plan: Plan, store: MemoryCheckpoints, origin?: string): Promise<ConfigError> {
  const runs = restarted(plan, readings(100), [], { store, ...(origin === undefined ? {} : { origin }) });
  return (await runs.then(
    () => assert.fail("it went on"),
    (error: unknown) => error,
  )) as ConfigError;
}

/** A store with the state of a window of 40 milliseconds, of which 25 were read. */
async function begun(): Promise<MemoryCheckpoints> {
  const store = new MemoryCheckpoints();
  await assert.rejects(
    restarted(windowed(40), readings(100), [stopAt(25)], {
      store: Object.assign(store, {
        before: (request: string) => (request === "claim" && store.saves.length > 0 ? stopHere() : undefined),
      }),
    }),
    /enough of it/,
  );
  store.before = () => undefined;
  return store;
}

function stopHere(): never {
  throw new Error("enough of it");
}

test("a window whose size was changed is refused, naming the step, what it was and is, and what to do", async () => {
  const store = await begun();
  const error = await refusal(windowed(50), store);
  assert.ok(error instanceof ConfigError);
  assert.match(
    error.message,
    /task test, checkpoint of input.*"window" does not fit: it was tumbling windows \(size 40.*now tumbling windows \(size 50.*--reset-state/s,
  );
});

test("a step with state that the pipeline has no more is refused", async () => {
  assert.match(
    (await refusal(windowed(40, "renamed"), await begun())).message,
    /the state of the step "window" was saved, and the pipeline has no such step/,
  );
});

test("with reset, state that does not fit is made anew from the input: nothing is missing, and nothing closed is given again", async () => {
  const store = new MemoryCheckpoints();
  const one = await restarted(windowed(10), readings(100), [stopAt(35)], { store });
  assert.deepEqual(
    values(one.results).map(({ start, n }) => [start, n]),
    Array.from({ length: 10 }, (_, index) => [index * 10, 10]),
  );
  const again = new MemoryCheckpoints();
  await restarted(windowed(10), readings(35), [stopAt(34)], { store: blockedAtEnd(again) });
  const two = await restarted(windowed(20), readings(100), [], { store: again, misfit: "reset" });
  assert.deepEqual(two.starts, [30]);
  assert.deepEqual(
    values(two.results).map(({ start, n }) => [start, n]),
    [
      [20, 10],
      [40, 20],
      [60, 20],
      [80, 20],
    ],
  );
});

/** Finished inputs keep nothing: this store forgets that they were. */
function blockedAtEnd(store: MemoryCheckpoints): MemoryCheckpoints {
  const claim = store.claim.bind(store);
  store.claim = async (name) => ({ ...(await claim(name)), finish: () => Promise.resolve() });
  return store;
}

test("a damaged checkpoint is refused and never taken for none; with reset it is", async () => {
  const store = await begun();
  for (const entry of store.entries.values()) {
    const flipped = Uint8Array.from(entry.manifest ?? []);
    flipped[40] = (flipped[40] ?? 0) ^ 1;
    entry.manifest = flipped;
  }
  assert.match((await refusal(windowed(40), store)).message, /damaged: its checksum is wrong.*checkpoints import.*--reset-state/s);
  const fresh = await restarted(windowed(40), readings(100), [], { store, misfit: "reset" });
  assert.deepEqual(fresh.starts, [undefined]);
});

test("a checkpoint of a newer Millrace is refused, and not thrown away with reset either", async () => {
  const store = await begun();
  for (const entry of store.entries.values()) {
    const newer = Buffer.from(encodeManifest(decodeManifest(entry.manifest as Uint8Array), 9));
    entry.manifest = newer;
  }
  assert.match((await refusal(windowed(40), store)).message, /format 9.*run the version that made it/s);
  await assert.rejects(restarted(windowed(40), readings(100), [], { store, misfit: "reset" }), /format 9/);
});

test("another input under the same name is refused", async () => {
  const store = await begun();
  for (const entry of store.entries.values()) {
    entry.manifest = encodeManifest({ ...decodeManifest(entry.manifest as Uint8Array), edition: "first" });
  }
  const { instance } = hand(windowed(40), store, { edition: "second" });
  await assert.rejects(instance.run(new AbortController().signal), /input input is not the one that was read/);
});

test("a position that was committed with state is not gone on from without it", async () => {
  const { instance } = hand(windowed(40), new MemoryCheckpoints(), { committedWith: () => Promise.resolve("state") });
  await assert.rejects(instance.run(new AbortController().signal), /committed together with a checkpoint, which the store does not have/);
});

test("whoever lost the checkpoints to another saves and commits nothing more, and ends to be opened anew", async () => {
  const store = new MemoryCheckpoints();
  const { instance, feed, commits } = hand(windowed(40), store);
  const running = instance.run(new AbortController().signal);
  feed(readings(10));
  await until("the first is saved", () => store.saves.length > 0);
  await store.claim({ task: "test", partition: "input" });
  const before = store.saves.length;
  feed(readings(10));
  await assert.rejects(
    running,
    (error) => error instanceof InfrastructureError && /another instance has taken its checkpoints over/.test(error.message),
  );
  assert.equal(store.saves.length, before);
  assert.ok(commits.every(({ kept }) => kept === "state"));
});

test("while the store is away nothing is committed and no more than an interval is read; it goes on when the store is back", async () => {
  const store = new MemoryCheckpoints();
  const reasons: (string | undefined)[] = [];
  const { instance, feed, commits, read } = hand(windowed(40), store, {}, reasons);
  const stop = new AbortController();
  const running = instance.run(stop.signal);
  feed(readings(5));
  await until("the first is saved", () => commits.length > 0);
  store.before = (request) => {
    if (request === "save") throw new InfrastructureError("no store here");
  };
  const before = commits.length;
  for (let index = 0; index < 50; index++) {
    feed([{ value: { at: index }, key: "a" }]);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
  await until("it tells why it waits", () => reasons.some((reason) => reason?.includes("no store here")));
  assert.equal(commits.length, before);
  const readWhileAway = read();
  assert.ok(readWhileAway < 50, `${readWhileAway} batches were read`);
  store.before = () => undefined;
  await until("all is read and saved", () => commits.at(-1)?.position === 55);
  assert.equal(reasons.at(-1), undefined);
  stop.abort(new PlannedStop("enough"));
  await running;
});

test("a step of one's own keeps what it saves with run.memory", async () => {
  const totals: Step<Reading, number> = async function* (input, run) {
    let total = typeof run.memory?.restored === "number" ? run.memory.restored : 0;
    for await (const batch of input) {
      const events = batch.events.map((event) => ({ ...event, value: (total += event.value.at) }));
      if (batch.barrier !== undefined) run.memory?.save(batch.barrier, total);
      yield { ...batch, events };
    }
  };
  const plan = from(sourceOf<Reading>()).via("totals", totals, { memory: "totals 1" }).to(sinkOf());
  assert.ok(keepsCheckpoints(plan));
  const clean = await restarted(plan, readings(60), [], {});
  const faulted = await restarted(plan, readings(60), [stopAt(20), { ...stopAt(20), ending: "crash" }], { store: new MemoryCheckpoints() });
  assert.deepEqual(new Set(faulted.results.map(({ value }) => value)), new Set(clean.results.map(({ value }) => value)));
});

test("a step of one's own that drops barriers ends the task, named", async () => {
  const dropping: Step<Reading, Reading> = async function* (input) {
    for await (const { events, position, watermark } of input) yield { events, position, watermark };
  };
  const plan = from(sourceOf<Reading>())
    .via("dropping", dropping)
    .timeBy(({ at }) => at)
    .window(tumbling(10))
    .to(sinkOf());
  await assert.rejects(
    restarted(plan, readings(60), [], { store: new MemoryCheckpoints() }),
    /step "dropping": it dropped the barrier of a checkpoint/,
  );
});

test("a step of one's own that passes a barrier without saving ends the task, named", async () => {
  const forgetting: Step<Reading, Reading> = (input) => input;
  const plan = from(sourceOf<Reading>()).via("forgetting", forgetting, { memory: "1" }).to(sinkOf());
  await assert.rejects(
    restarted(plan, readings(60), [stopAt(20)], { store: new MemoryCheckpoints() }),
    /step "forgetting": it passed a barrier on without saving/,
  );
});

test("what can't be saved ends the task with the step and the place; no event is blamed", async () => {
  class Total {
    n = 0;
  }
  const fold = {
    init: () => ({ best: new Total() }),
    add: (state: { best: Total }) => {
      state.best.n += 1;
      return state;
    },
  };
  const plan = from(sourceOf<Reading>())
    .timeBy(({ at }) => at)
    .window(tumbling(40), { fold })
    .to(sinkOf());
  await assert.rejects(
    restarted(plan, readings(60), [stopAt(20)], { store: new MemoryCheckpoints() }),
    /step "window": what the fold keeps can't be saved in a checkpoint \(\.best is an object of class Total\)/,
  );
});

test("a pipeline with a step that holds positions back by itself makes no checkpoints, one without state neither", () => {
  const passing: Step<Reading, Reading> = (input) => input;
  const held = from(sourceOf<Reading>())
    .via("own", passing, { stateful: true })
    .timeBy(({ at }) => at)
    .window(tumbling(10))
    .to(sinkOf());
  assert.equal(keepsCheckpoints(held), false);
  assert.equal(
    keepsCheckpoints(
      from(sourceOf<Reading>())
        .map(({ at }) => at)
        .to(sinkOf()),
    ),
    false,
  );
  assert.equal(
    keepsCheckpoints(
      from(sourceOf<Reading>())
        .window(tumbling(10), { fold: sum(({ at }: Reading) => at) })
        .to(sinkOf()),
    ),
    true,
  );
});

/** An instance that is fed by hand. */
function hand(plan: Plan, store: MemoryCheckpoints, over: Partial<Partition> = {}, reasons: (string | undefined)[] = []) {
  const commits: { readonly position: number; readonly kept: "state" | undefined }[] = [];
  const waiting: Given[][] = [];
  let wake: () => void = () => undefined;
  let read = 0;
  const stopped = Promise.withResolvers<void>();
  const partition: Partition = {
    name: "input",
    signal: new AbortController().signal,
    async *read(): AsyncGenerator<Batch> {
      let position = 0;
      for (;;) {
        const given = waiting.shift();
        if (given === undefined) {
          const more = new Promise<"more">((resolve) => (wake = () => resolve("more")));
          if ((await Promise.race([more, stopped.promise])) === undefined) return;
          continue;
        }
        read += 1;
        const origin = { system: "memory", name: "input", partition: undefined };
        const events = given.map(({ value, key }) => {
          return {
            value,
            key,
            time: Number.NaN,
            headers: undefined,
            origin,
            offset: position++,
            watermark: Number.NEGATIVE_INFINITY,
            size: 1,
          };
        });
        yield { events, position, watermark: Number.NEGATIVE_INFINITY };
      }
    },
    commit: (position, kept) => Promise.resolve(void commits.push({ position, kept })),
    [Symbol.asyncDispose]: () => Promise.resolve(stopped.resolve()),
    ...over,
  };
  const context = bareContext({ waiting: (reason) => void reasons.push(reason) });
  const instance = createInstance(plan, context, {
    openSource: () =>
      Promise.resolve({
        async *partitions(stop: AbortSignal) {
          stop.addEventListener("abort", () => stopped.resolve());
          yield partition;
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
    openSink: () => Promise.resolve({ write: () => Promise.resolve(), [Symbol.asyncDispose]: () => Promise.resolve() }),
    checkpoints: { store, interval: 1, misfit: "refuse" },
  });
  const feed = (given: Given[]) => {
    waiting.push(given);
    wake();
  };
  return { instance, feed, commits, read: () => read };
}
