/** The machine's clock is set an hour forward or back while pipelines run. */
import assert from "node:assert/strict";
import { test } from "node:test";

import type { WindowSpec } from "millrace";
import { from, InfrastructureError, session, tumbling } from "millrace";
import type { Advance, TestEvent } from "millrace/testing";
import { advance, runPipeline, VirtualClock } from "millrace/testing";

import type { Batch } from "../../src/batch.ts";
import { NO_WATERMARK } from "../../src/batch.ts";
import { sleep } from "../../src/clock.ts";
import type { Partition, Source, Step } from "../../src/contracts.ts";
import { createInstance } from "../../src/pipeline/instance.ts";
import { settle } from "../../src/virtual-clock.ts";
import { bareContext } from "../support/bare-context.ts";
import { MemoryCheckpoints } from "../support/memory-checkpoints.ts";
import { eventOf } from "../support/open-context.ts";
import { sinkOf, sourceOf } from "./source-of.ts";

const HOUR = 3_600_000;
const JUMPS = { "an hour forward": HOUR, "an hour back": -HOUR };
/** Enough to be set back from. */
const START = 10 * HOUR;

interface Given {
  readonly n: number;
  /** Sets the clock by so much, so many milliseconds after this event came. */
  readonly jump?: { readonly by: number; readonly after: number };
}

/** Sets the clock as the events say, and passes them on. */
function jumping(): { step: Step<Given, Given>; clock: () => VirtualClock } {
  let clock: VirtualClock | undefined;
  const step: Step<Given, Given> = async function* (input, run) {
    assert.ok(run.clock instanceof VirtualClock);
    const own = (clock = run.clock);
    for await (const batch of input) {
      for (const { value } of batch.events) {
        const { jump } = value;
        if (jump?.after === 0) own.set(own.now() + jump.by);
        else if (jump !== undefined) own.after(jump.after, () => own.set(own.now() + jump.by));
      }
      yield batch;
    }
  };
  return { step, clock: () => clock ?? assert.fail("it has not run") };
}

const events = (...given: readonly (number | Given | Advance)[]): (TestEvent | Advance)[] =>
  given.map((item) => (typeof item === "number" ? { value: { n: item } } : "advance" in item ? item : { value: item }));

async function windowsOf(spec: WindowSpec, input: readonly (TestEvent | Advance)[]): Promise<readonly string[]> {
  const plan = from(sourceOf<Given>()).via("set-the-clock", jumping().step).window(spec).to(sinkOf());
  const { values } = await runPipeline<{ start: number; end: number; values: readonly Given[] }>(plan, input, {
    start: START,
    batchSize: 1,
    ending: "stop",
  });
  return values.map(({ start, end, values: held }) => `[${start - START},${end - START}) ${held.map(({ n }) => n).join(" ")}`);
}

test("windows in processing time take every event once, and close in time, when the clock is set forward", async () => {
  const input = events(1, advance(4), 2, { n: 3, jump: { by: HOUR, after: 0 } }, 4, advance(7), 5, advance(20));
  assert.deepEqual(await windowsOf(tumbling(10, { time: "processing" }), input), [
    "[0,10) 1 2",
    `[${HOUR},${HOUR + 10}) 3 4`,
    `[${HOUR + 10},${HOUR + 20}) 5`,
  ]);
});

test("windows in processing time take every event once, and close in time, when the clock is set back", async () => {
  for (const after of [0, 2]) {
    const input = events(1, advance(4), 2, { n: 3, jump: { by: -HOUR, after } }, advance(3), 4, advance(5), 5, advance(20));
    assert.deepEqual(await windowsOf(tumbling(10, { time: "processing" }), input), ["[0,10) 1 2 3 4", "[10,20) 5"], `after ${after} ms`);
  }
  const gaps = events({ n: 1, jump: { by: -HOUR, after: 2 } }, advance(5), 2, advance(20), 3);
  assert.deepEqual(await windowsOf(session(10, { time: "processing" }), gaps), ["[0,15) 1 2"]);
});

for (const [name, by] of Object.entries(JUMPS)) {
  test(`a batch is given after its time when the clock is set ${name}`, async () => {
    const { step, clock } = jumping();
    const given: (readonly [at: number, values: readonly number[]])[] = [];
    const plan = from(sourceOf<Given>())
      .via("set-the-clock", step)
      .batch({ size: 10, time: 1000 })
      .tap((batch) => void given.push([clock().elapsed(), batch.map(({ n }) => n)]))
      .to(sinkOf());
    const input = events({ n: 1, jump: { by, after: 300 } }, advance(600), 2, advance(5000), 3, advance(5000));
    await runPipeline(plan, input, { start: START, ending: "stop" });
    assert.deepEqual(given, [
      [1000, [1, 2]],
      [6600, [3]],
    ]);
  });

  test(`an idle partition's watermark goes on when the clock is set ${name}, and no faster`, async () => {
    const idle = async (wait: number) => {
      const plan = from(sourceOf<Given>())
        .via("set-the-clock", jumping().step)
        .timeBy(({ n }) => n, { idleAfter: 5000 })
        .window(tumbling(6000))
        .to(sinkOf());
      const input = events({ n: 500, jump: { by, after: 700 } }, advance(wait));
      return (await runPipeline(plan, input, { start: START, ending: "stop" })).values.length;
    };
    assert.deepEqual([await idle(4900), await idle(8000)], [0, 1]);
  });

  test(`calls are tried again until their deadline when the clock is set ${name}`, async () => {
    const { step, clock } = jumping();
    let calls = 0;
    const plan = from(sourceOf<Given>())
      .via("set-the-clock", step)
      .mapAsync(
        async () => {
          calls++;
          throw new InfrastructureError("away");
        },
        { name: "ask", retries: 1000, deadline: "10s" },
      )
      .to(sinkOf());
    await assert.rejects(runPipeline(plan, events({ n: 1, jump: { by, after: 150 } }), { start: START }), /away/);
    assert.ok(calls > 3, `${calls} calls`);
    assert.ok(clock().elapsed() <= 10_000, `it was tried for ${clock().elapsed()} ms`);
  });

  test(`checkpoints are made, and positions committed, when the clock is set ${name}`, async () => {
    const clock = new VirtualClock(START);
    const stop = new AbortController();
    const store = new MemoryCheckpoints();
    const commits: number[] = [];
    const plan = from(sourceOf<number>()).window(tumbling("1h")).to(sinkOf());
    const instance = createInstance(plan, bareContext({ clock }), {
      openSource: () => Promise.resolve(onceASecond(clock, stop.signal, commits)),
      openSink: () => Promise.resolve({ write: () => Promise.resolve(), [Symbol.asyncDispose]: () => Promise.resolve() }),
      checkpoints: { store, interval: 10_000, misfit: "refuse" },
    });
    const running = instance.run(stop.signal);
    const goOn = async (seconds: number) => {
      for (let second = 0; second < seconds; second++) {
        await clock.advance(1000);
        await settle();
      }
    };
    await goOn(25);
    const before = [store.saves.length, commits.length];
    clock.set(clock.now() + by);
    await goOn(25);
    const after = [store.saves.length, commits.length];
    stop.abort();
    await goOn(2);
    await running;
    assert.ok((before[0] ?? 0) >= 2, `${before[0]} checkpoints before`);
    for (const index of [0, 1]) {
      const made = (after[index] ?? 0) - (before[index] ?? 0);
      assert.ok(made === 2 || made === 3, `${made} in 25 s after it was set`);
    }
  });
}

/** A source of one partition that gives an event a second. */
function onceASecond(clock: VirtualClock, stop: AbortSignal, commits: number[]): Source {
  async function* read(): AsyncGenerator<Batch> {
    for (let n = 0; !stop.aborted; n++) {
      yield { events: [eventOf(n, n)], position: n + 1, watermark: NO_WATERMARK };
      await sleep(1000, stop, clock).catch(() => undefined);
    }
  }
  const partition: Partition = {
    name: "input",
    signal: new AbortController().signal,
    read,
    commit: (position) => Promise.resolve(void commits.push(position)),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return {
    partitions: async function* () {
      yield partition;
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
