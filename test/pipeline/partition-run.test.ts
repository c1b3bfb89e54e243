import assert from "node:assert/strict";
import { test } from "node:test";

import type { Event } from "millrace";
import { DataError, from, memorySource } from "millrace";

import type { Partition, Sink, SinkSpec, SourceSpec } from "../../src/contracts.ts";
import { InfrastructureError, OwnershipLostError } from "../../src/errors.ts";
import { createInstance } from "../../src/pipeline/instance.ts";
import { bareContext } from "../support/bare-context.ts";
import { sinkOf } from "./source-of.ts";

/** A source of numbers 0 … that notes what is committed, and when it was disposed of. */
function numbers(batches: readonly number[][], partitionSignal = new AbortController().signal) {
  const seen = { commits: [] as number[], disposed: 0 };
  const spec: SourceSpec<number> = {
    kind: "memory",
    description: {},
    finite: true,
    timestamps: false,
    partitioned: false,
    open: async () => ({
      async *partitions() {
        yield {
          name: "numbers",
          signal: partitionSignal,
          async *read() {
            for (const values of batches) {
              const events = values.map((value): Event<number> => ({
                value,
                key: undefined,
                time: Number.NaN,
                headers: undefined,
                origin: { system: "memory", name: "numbers", partition: 0 },
                offset: value,
                watermark: Number.NEGATIVE_INFINITY,
                size: 1,
              }));
              yield { events, position: (values.at(-1) ?? 0) + 1, watermark: Number.NEGATIVE_INFINITY };
            }
          },
          commit: async (position: number) => void seen.commits.push(position),
          [Symbol.asyncDispose]: async () => void (seen.disposed += 1),
        } satisfies Partition<number>;
      },
      async [Symbol.asyncDispose]() {},
    }),
  };
  return { spec, seen };
}

/** The same source with other partitions. */
function withPartitions(spec: SourceSpec<number>, change: (partition: Partition<number>) => Partition<number>): SourceSpec<number> {
  return {
    ...spec,
    open: async (...args) => {
      const source = await spec.open(...args);
      return {
        async *partitions(stop) {
          for await (const partition of source.partitions(stop)) yield change(partition);
        },
        async [Symbol.asyncDispose]() {},
      };
    },
  };
}

function sinkThat(write: Sink["write"], maxInFlight = 1): SinkSpec {
  return { ...sinkOf(), open: async () => ({ maxInFlight, write, async [Symbol.asyncDispose]() {} }) };
}

const never = new AbortController().signal;

test("nothing is committed before the sink has confirmed it, in order, also with several writes under way", async () => {
  const { spec, seen } = numbers([[0, 1], [2], [3, 4]]);
  const release: (() => void)[] = [];
  const sink = sinkThat(() => new Promise((resolve) => void release.push(resolve)), 3);
  const running = createInstance(from(spec).to(sink), bareContext()).run(never);
  while (release.length < 3) await new Promise(setImmediate);
  release[2]?.();
  release[1]?.();
  await new Promise(setImmediate);
  assert.deepEqual(seen.commits, []);
  release[0]?.();
  assert.equal(await running, "finished");
  assert.equal(seen.commits.at(-1), 5);
  assert.equal(seen.disposed, 1);
});

test("an event that a sink refuses ends the task there: what came before it is committed, what comes after is not", async () => {
  const { spec, seen } = numbers([
    [0, 1],
    [2, 3, 4],
    [5, 6],
  ]);
  const sink = sinkThat(async (events) => {
    const refused = events.find((event) => event.value === 3);
    if (refused !== undefined) throw new DataError("sink test", refused, new Error("no threes"));
  });
  const instance = createInstance(from(spec).to(sink), bareContext());
  await assert.rejects(instance.run(never), { message: 'step "sink test" at memory numbers/0@3: no threes' });
  assert.deepEqual(seen.commits, [2, 3]);
  assert.deepEqual([instance.counters.out, instance.counters.failed], [3, 1]);
});

test("a function that throws ends the task at its event, and what came before it is delivered and committed", async () => {
  const { spec, seen } = numbers([[0, 1, 2, 3]]);
  const written: unknown[] = [];
  const plan = from(spec)
    .filter((n) => n !== 1)
    .map((n) => {
      if (n === 3) throw new Error("no threes");
      return n * 10;
    })
    .to(sinkThat(async (events) => void written.push(...events.map((event) => event.value))));
  await assert.rejects(createInstance(plan, bareContext()).run(never), {
    name: "DataError",
    message: /step "map" at memory numbers\/0@3: no threes/,
  });
  assert.deepEqual(written, [0, 20]);
  assert.deepEqual(seen.commits, [3]);
});

test("a partition that was lost ends without an error, and nothing more of it is committed", async () => {
  const lost = new AbortController();
  const { spec, seen } = numbers([[0], [1]], lost.signal);
  const sink = sinkThat(
    (_events, signal) =>
      new Promise((_resolve, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason));
        lost.abort(new OwnershipLostError("it belongs to another"));
      }),
  );
  assert.equal(await createInstance(from(spec).to(sink), bareContext()).run(never), "finished");
  assert.deepEqual(seen.commits, []);
  assert.equal(seen.disposed, 1);
});

test("work that is given up rejects with the reason", async () => {
  const abandon = new AbortController();
  const { spec, seen } = numbers([[0]]);
  const sink = sinkThat(() => {
    abandon.abort(new InfrastructureError("the deadline has passed"));
    return new Promise(() => undefined);
  });
  await assert.rejects(createInstance(from(spec).to(sink), bareContext({ signal: abandon.signal })).run(never), /the deadline has passed/);
  assert.deepEqual(seen.commits, []);
});

test("reading goes no faster than the sink writes", async () => {
  let given = 0;
  let written = 0;
  async function* endless() {
    while (given < 100_000) yield { value: given++ };
  }
  const sink = sinkThat(async (events) => {
    written += events.length;
    assert.ok(given - written <= 4 * 1024, `${given - written} events were read ahead`);
    await new Promise(setImmediate);
  });
  await createInstance(from(memorySource(endless())).to(sink), bareContext()).run(never);
  assert.equal(written, 100_000);
});

test("an instance that is told to stop before it has begun opens nothing", async () => {
  const { spec } = numbers([[0]]);
  assert.equal(await createInstance(from(spec).to(sinkOf()), bareContext()).run(AbortSignal.abort()), "stopped");
});

test("a stop while a sink is being opened is not held up by it, and the sink is closed when it is open", async () => {
  const { spec } = numbers([[0]]);
  const opening = Promise.withResolvers<Sink>();
  let closed = 0;
  const stop = new AbortController();
  const running = createInstance(from(spec).to({ ...sinkOf(), open: () => opening.promise }), bareContext()).run(stop.signal);
  stop.abort();
  assert.equal(await running, "stopped");
  opening.resolve({ write: async () => {}, [Symbol.asyncDispose]: async () => void (closed += 1) });
  await new Promise(setImmediate);
  assert.equal(closed, 1);
});

test("one part's reason for waiting is not taken back by another", async () => {
  const { spec } = numbers([]);
  const told: (string | undefined)[] = [];
  const waitingSink = (first: string | undefined, second: string | undefined): SinkSpec => ({
    ...sinkOf(),
    open: async (opened) => {
      opened.waiting(first);
      opened.waiting(second);
      return { write: async () => {}, async [Symbol.asyncDispose]() {} };
    },
  });
  const plan = from(spec).to([waitingSink("broker away", "broker still away"), waitingSink("disk full", undefined)]);
  await createInstance(plan, bareContext({ waiting: (reason) => void told.push(reason) })).run(never);
  assert.deepEqual(told, ["broker away", "broker still away"]);
});

test("nothing that one sink refuses is committed before the other sinks have written what stands before it", async () => {
  const { spec, seen } = numbers([[0, 1, 2, 3]]);
  const refusing = sinkThat(async (events) => {
    throw new DataError("refusing", events[3], new Error("no threes"));
  });
  const { promise: told, resolve: tell } = Promise.withResolvers<void>();
  const slow = sinkThat(() => told);
  const running = createInstance(from(spec).to([refusing, slow]), bareContext()).run(never);
  for (let turn = 0; turn < 20; turn++) await new Promise(setImmediate);
  assert.deepEqual(seen.commits, []);
  tell();
  await assert.rejects(running, { message: 'step "refusing" at memory numbers/0@3: no threes' });
  assert.deepEqual(seen.commits, [3]);
});

test("of two sinks that refuse events, the earlier event is where the task ends", async () => {
  const { spec, seen } = numbers([[0, 1, 2, 3]]);
  const refusing = (index: number) =>
    sinkThat(async (events) => {
      throw new DataError("refusing", events[index], new Error("no"));
    });
  await assert.rejects(createInstance(from(spec).to([refusing(3), refusing(1)]), bareContext()).run(never), {
    message: 'step "refusing" at memory numbers/0@1: no',
  });
  assert.deepEqual(seen.commits, [1]);
});

test("an error keeps its kind when letting go of the partition or a sink fails as well", async () => {
  const { spec } = numbers([[0]]);
  const closing: SinkSpec = {
    ...sinkOf(),
    open: async () => ({
      write: async (events) => {
        throw new DataError("refusing", events[0], new Error("no"));
      },
      [Symbol.asyncDispose]: () => Promise.reject(new InfrastructureError("can't be closed")),
    }),
  };
  const unreleasable = withPartitions(spec, (partition) => ({
    ...partition,
    [Symbol.asyncDispose]: () => Promise.reject(new InfrastructureError("can't be released")),
  }));
  const instance = createInstance(from(unreleasable).to(closing), bareContext());
  await assert.rejects(instance.run(never), { name: "DataError", message: 'step "refusing" at memory numbers/0@0: no' });
  assert.equal(instance.counters.failed, 1);
});

test("a sink that fails ends the work, also when a call before it never ends", { timeout: 5_000 }, async () => {
  const { spec, seen } = numbers([[0], [1]]);
  const plan = from(spec)
    .mapAsync((n) => (n === 0 ? n : new Promise<number>(() => undefined)))
    .to(
      sinkThat(async () => {
        await new Promise(setImmediate);
        throw new InfrastructureError("the sink is gone");
      }, 3),
    );
  await assert.rejects(createInstance(plan, bareContext()).run(never), { message: "the sink is gone" });
  assert.deepEqual(seen.commits, []);
  assert.equal(seen.disposed, 1);
});

test("a step that fails ends the work, also when a call before it never ends", { timeout: 5_000 }, async () => {
  const { spec, seen } = numbers([[0], [1]]);
  const plan = from(spec)
    .mapAsync((n) => (n === 0 ? n : new Promise<number>(() => undefined)))
    .infer(async () => [])
    .to(sinkThat(async () => undefined));
  await assert.rejects(createInstance(plan, bareContext()).run(never), { name: "DataError" });
  assert.equal(seen.disposed, 1);
});

test(
  "a sink that fails ends the work at once, though the partition has nothing to give until it is let go of",
  { timeout: 5_000 },
  async () => {
    const { spec, seen } = numbers([[0]]);
    const { promise: released, resolve: release } = Promise.withResolvers<void>();
    const steps: string[] = [];
    const quiet = withPartitions(spec, (partition) => ({
      ...partition,
      async *read(from) {
        yield* partition.read(from);
        await released;
        steps.push("read ended");
      },
      async [Symbol.asyncDispose]() {
        steps.push("let go of");
        release();
      },
    }));
    const plan = from(quiet).to(sinkThat(() => Promise.reject(new InfrastructureError("the sink is gone")), 2));
    await assert.rejects(createInstance(plan, bareContext()).run(never), { message: "the sink is gone" });
    assert.deepEqual(steps, ["let go of", "read ended"]);
    assert.deepEqual(seen.commits, []);
  },
);
