import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { ConfigError, InfrastructureError, ModelError } from "../../../src/errors.ts";
import { LaneKilledError, LaneLostError, LaneTimeoutError } from "../../../src/models/lanes/call.ts";
import { isAlive } from "../../support/processes.ts";
import { tempFolder } from "../../support/temp-folder.ts";
import { until } from "../../support/until.ts";
import { BEHAVE, behaving, NOUNS, openLanes } from "./lanes.ts";
import type { Told } from "./modules/behave.ts";

const HOOKED = { signal: new AbortController().signal, until: Number.POSITIVE_INFINITY };

/** Ways to bring a lane down, and what is said of it. */
const ENDS: readonly (readonly [Told, RegExp])[] = [
  [{ do: "exit", code: 3 }, /called process\.exit\(3\)/],
  [{ do: "throw-later" }, /threw .*that nothing caught|threw what nothing caught: not that type/],
  [{ do: "reject-later" }, /nobody waits for this/],
];

for (const noun of NOUNS) {
  for (const [poison, reason] of ENDS) {
    test(`an input that makes its ${noun} ${poison.do} is an error of its own after one more try`, async (t) => {
      const told: (string | undefined)[] = [];
      let restarts = 0;
      const dispatcher = openLanes(t, noun, { maxInFlight: 4 });
      const events = { waiting: (why: string | undefined) => told.push(why), restarted: () => void (restarts += 1) };
      const entry = await dispatcher.host({ kind: "each", exportName: "behave", url: BEHAVE }, events);
      const neighbours = [1, 2, 3].map((value) => entry.run({ do: "wait", ms: value }, HOOKED));
      await assert.rejects(entry.run(poison, HOOKED), (error) => {
        assert.ok(error instanceof LaneKilledError);
        assert.match(error.message, new RegExp(`the ${noun} that worked on this input ended, 2 times; the last one`));
        assert.match(error.message, reason);
        return true;
      });
      assert.deepEqual(await Promise.all(neighbours), [1, 2, 3]);
      assert.equal(await entry.run({ do: "echo", value: "after" }, HOOKED), "after");
      assert.equal(restarts, 2);
      assert.match(String(told.find((why) => why?.match(reason))), new RegExp(`^no ${noun} is ready: `));
      assert.equal(told.at(-1), undefined);
    });
  }

  test(`a ${noun} that loops is replaced when a call's time was up, and nobody else is blamed`, async (t) => {
    const { tell } = await behaving(t, noun, { maxInFlight: 2, grace: 50 });
    const loop = tell({ do: "loop" }, { within: 300 });
    const neighbour = tell({ do: "echo", value: "a neighbour" });
    await assert.rejects(loop, (error) => error instanceof LaneTimeoutError);
    assert.equal(await neighbour, "a neighbour");
  });

  test(`a ${noun} that is silent for too long is replaced, without a deadline as well`, async (t) => {
    const { tell } = await behaving(t, noun, { hangAfter: 500 });
    await assert.rejects(tell({ do: "loop" }), (error) => error instanceof LaneKilledError && /was silent for 500 ms/.test(error.message));
    assert.equal(await tell({ do: "echo", value: "after" }), "after");
  });

  test(`a ${noun} whose memory fills is replaced`, async (t) => {
    const { tell } = await behaving(t, noun, { memoryLimitMb: noun === "thread" ? 32 : 250, redeliver: 0 });
    const reason = noun === "thread" ? /ran out of memory/ : /used \d+ MiB of memory, more than its limit of 250 MiB/;
    await assert.rejects(tell({ do: "leak" }), (error) => error instanceof LaneKilledError && reason.test(error.message));
    assert.equal(await tell({ do: "echo", value: "after" }), "after");
  });

  test(`what only waited in a ${noun} that died is tried as often as it must be, and never blamed`, async (t) => {
    const file = join(tempFolder(t), "notes");
    const { tell } = await behaving(t, noun, { maxInFlight: 8, redeliver: 1 });
    const poisons = [0, 1, 2].map(() => tell({ do: "exit", code: 1 }));
    const notes = [0, 1].map(() => tell({ do: "note", file }));
    const ends = await Promise.allSettled([...poisons, ...notes]);
    assert.deepEqual(
      ends.map(({ status }) => status),
      ["rejected", "rejected", "rejected", "fulfilled", "fulfilled"],
    );
    assert.equal(readFileSync(file, "utf8").trim().split("\n").length, 2);
  });

  test(`with redeliver 0 nothing that was in a ${noun} that died is begun again`, async (t) => {
    const file = join(tempFolder(t), "notes");
    const { tell } = await behaving(t, noun, { redeliver: 0 });
    const [note, poison] = await Promise.allSettled([
      tell({ do: "note", file }).then(() => tell({ do: "never" })),
      tell({ do: "wait", ms: 300 }).then(() => tell({ do: "exit", code: 1 })),
    ]);
    assert.ok(note.status === "rejected" && note.reason instanceof LaneLostError && note.reason instanceof InfrastructureError);
    assert.ok(poison.status === "rejected" && poison.reason instanceof LaneLostError);
    assert.equal(readFileSync(file, "utf8").trim().split("\n").length, 1);
  });

  test(`a call of a model that waits behind a long one in its ${noun} may be late without harm, and is not begun then`, async (t) => {
    const notes = join(tempFolder(t), "notes");
    let restarts = 0;
    const events = { waiting: () => undefined, restarted: () => void (restarts += 1) };
    const model = await openLanes(t, noun, { grace: 20 }).host({ kind: "rows", url: BEHAVE }, events);
    const file = join(tempFolder(t), "go");
    const long = model.run([{ do: "wait-for-file", file }], HOOKED);
    const late = model.run([{ do: "note", file: notes }], { ...HOOKED, until: performance.now() + 50 });
    await assert.rejects(late, (error) => error instanceof LaneTimeoutError);
    // As long as a lane that hangs would be given.
    await new Promise((resolve) => setTimeout(resolve, 100));
    writeFileSync(file, "");
    assert.deepEqual(await long, [file]);
    assert.deepEqual(await model.run([{ do: "echo", value: 1 }], HOOKED), [1]);
    assert.equal(restarts, 0);
    assert.ok(!existsSync(notes));
  });

  test(`settings that can't be sent to a ${noun} are told to who opens the model`, async (t) => {
    const opening = openLanes(t, noun).host({ kind: "rows", url: BEHAVE, settings: { load: () => 1 } });
    await assert.rejects(opening, (error) => error instanceof ConfigError && /the settings can't be sent to a/.test(error.message));
  });

  test(`a model that can't be loaded in a ${noun} is told to who opens it`, async (t) => {
    const dispatcher = openLanes(t, noun);
    const load = (told: Told) => dispatcher.host({ kind: "rows", url: BEHAVE, settings: { load: told } });
    await assert.rejects(
      load({ do: "throw", what: "type" }),
      (error) => error instanceof ModelError && error.message === "model behave@1: not that type",
    );
    await assert.rejects(
      dispatcher.host({ kind: "each", url: BEHAVE, exportName: "nothing" }),
      (error) => error instanceof ConfigError && /exports no function "nothing"/.test(error.message),
    );
    await assert.rejects(dispatcher.host({ kind: "rows", url: new URL("nowhere.ts", BEHAVE).href }), ConfigError);
    const good = await dispatcher.host({ kind: "rows", url: BEHAVE });
    assert.deepEqual(await good.run([{ do: "echo", value: 1 }], HOOKED), [1]);
  });

  test(`a ${noun} that ends while it loads for the first time is told to who opens it`, async (t) => {
    const dispatcher = openLanes(t, noun);
    const opening = dispatcher.host({ kind: "rows", url: BEHAVE, settings: { load: { do: "exit", code: 4 } } });
    await assert.rejects(
      opening,
      (error) =>
        error instanceof InfrastructureError &&
        new RegExp(`^the ${noun} that was to load /.*\\.ts called process\\.exit\\(4\\)$`).test(error.message),
    );
  });
}

test("a process that is killed is replaced, its model loaded again, and its calls are answered once each", async (t) => {
  const { tell } = await behaving(t, "process", { lanes: 2, maxInFlight: 2 });
  const pids = new Set<number>();
  for (let round = 0; round < 3; round++) {
    const pid = Number.parseInt(String(await tell({ do: "where" })));
    const calls = [1, 2, 3, 4].map((value) => tell({ do: "wait", ms: 50 + value }));
    process.kill(pid, "SIGKILL");
    assert.deepEqual(await Promise.all(calls), [51, 52, 53, 54]);
    await until("it is gone", () => !isAlive(pid));
    assert.ok(!pids.has(pid));
    pids.add(pid);
  }
});

test("a process ends with its dispatcher, also one that hangs", async (t) => {
  const dispatcher = openLanes(t, "process", { grace: 10 });
  const entry = await dispatcher.host({ kind: "each", exportName: "behave", url: BEHAVE });
  const pid = Number.parseInt(String(await entry.run({ do: "where" } satisfies Told, HOOKED)));
  await assert.rejects(entry.run({ do: "loop" } satisfies Told, { ...HOOKED, until: performance.now() + 50 }), LaneTimeoutError);
  await dispatcher[Symbol.asyncDispose]();
  assert.ok(!isAlive(pid));
});
