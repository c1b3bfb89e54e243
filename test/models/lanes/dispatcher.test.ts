import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { DataError, InfrastructureError, RetryableError } from "millrace";

import { SILENT } from "../../../src/contracts.ts";
import { LaneTimeoutError, UnsendableError } from "../../../src/models/lanes/call.ts";
import { FailedOutput } from "../../../src/pipeline/infer.ts";
import { tempFolder } from "../../support/temp-folder.ts";
import { until } from "../../support/until.ts";
import { BEHAVE, behaving, NOUNS, openLanes } from "./lanes.ts";

for (const noun of NOUNS) {
  test(`each caller gets its own answer of a ${noun}, in whatever order they come`, async (t) => {
    const { tell } = await behaving(t, noun, { lanes: 2, maxInFlight: 4 });
    const file = join(tempFolder(t), "go");
    const slow = tell({ do: "wait-for-file", file });
    const answers = await Promise.all(Array.from({ length: 200 }, (_, value) => tell({ do: "echo", value })));
    assert.deepEqual(
      answers,
      Array.from({ length: 200 }, (_, value) => value),
    );
    writeFileSync(file, "");
    assert.equal(await slow, file);
  });

  test(`calls go to the ${noun} with the least in flight, so many at a time`, async (t) => {
    const { entry, tell } = await behaving(t, noun, { lanes: 2, maxInFlight: 1 });
    assert.equal(entry.capacity, 2);
    const places = new Set(
      await until("both are there", async () => {
        const both = await Promise.all([tell({ do: "where" }), tell({ do: "where" })]);
        return both[0] !== both[1] && both;
      }),
    );
    assert.equal(places.size, 2);
  });

  test(`what is thrown in a ${noun} is the same on this side`, async (t) => {
    const { tell } = await behaving(t, noun);
    await assert.rejects(tell({ do: "throw", what: "type" }), (error) => {
      assert.ok(error instanceof TypeError);
      assert.match(String(error.stack), /behave\.ts/);
      return error.message === "not that type";
    });
    await assert.rejects(tell({ do: "throw", what: "data" }), (error) => {
      assert.ok(error instanceof DataError);
      assert.equal(error.step, "a step");
      return (error.cause as Error).message === "bad value";
    });
    await assert.rejects(tell({ do: "throw", what: "retryable" }), (error) => error instanceof RetryableError && error.retryAfter === 1234);
    await assert.rejects(tell({ do: "throw", what: "own" }), (error) => {
      assert.ok(error instanceof RangeError && error.cause instanceof InfrastructureError);
      assert.deepEqual([error.constructor.name, (error as Error & { code?: string }).code], ["LateParcelError", "LATE"]);
      return true;
    });
    await assert.rejects(tell({ do: "throw", what: "text" }), (error) => error === "just text");
  });

  test(`bytes and typed arrays come to a ${noun} and back as they were`, async (t) => {
    const { tell } = await behaving(t, noun);
    const bytes = Buffer.from("some bytes");
    const numbers = new Float32Array([1.5, 2.5, 3.5, 4.5]);
    const value = { bytes, rows: [numbers.subarray(0, 2), numbers.subarray(2, 4)], big: new BigInt64Array([7n]), map: new Map([["a", 1]]) };
    const answers = await Promise.all([
      tell({ do: "echo", value }),
      tell({ do: "echo", value: numbers }),
      tell({ do: "echo", value: bytes }),
    ]);
    assert.deepEqual(answers, [value, numbers, bytes]);
    assert.ok(Buffer.isBuffer((answers[0] as typeof value).bytes) && Buffer.isBuffer(answers[2]));
    assert.equal(bytes.toString(), "some bytes");
    assert.deepEqual([...numbers], [1.5, 2.5, 3.5, 4.5]);
  });

  test(`what can't be sent to a ${noun}, or comes from it, fails its own call only`, async (t) => {
    const { tell } = await behaving(t, noun);
    const [input, output, echo] = await Promise.allSettled([
      tell({ do: "echo", value: () => undefined }),
      tell({ do: "return-a-function" }),
      tell({ do: "echo", value: 1 }),
    ]);
    assert.ok(input.status === "rejected" && input.reason instanceof UnsendableError);
    assert.match(input.reason.message, /can't be sent to a (thread|process): .*could not be cloned/);
    assert.ok(output.status === "rejected" && output.reason instanceof TypeError);
    assert.match(output.reason.message, /what it returned can't leave its thread or process: .*could not be cloned/);
    assert.deepEqual(echo, { status: "fulfilled", value: 1 });
  });

  test(`a call whose time is up is answered at once, also one that waits for a ${noun}`, async (t) => {
    const { tell } = await behaving(t, noun, { maxInFlight: 1, grace: 20_000 });
    const file = join(tempFolder(t), "go");
    const slow = tell({ do: "wait-for-file", file });
    await assert.rejects(tell({ do: "echo", value: 1 }, { within: 20 }), (error) => {
      assert.ok(error instanceof LaneTimeoutError);
      return error.message === `no ${noun} was free for it in time`;
    });
    writeFileSync(file, "");
    await slow;
    const late = join(tempFolder(t), "late");
    await assert.rejects(tell({ do: "wait-for-file", file: late }, { within: 20 }), (error) => {
      assert.ok(error instanceof LaneTimeoutError);
      return error.message === `its ${noun} gave no answer in time`;
    });
    writeFileSync(late, "");
    await assert.rejects(tell({ do: "echo", value: 1 }, { within: -1 }), { message: "its time was up before it began" });
    assert.equal(await tell({ do: "echo", value: 2 }), 2);
  });

  test(`a call that is given up rejects with the reason, and its ${noun} is told`, async (t) => {
    const { tell } = await behaving(t, noun);
    const told = join(tempFolder(t), "told");
    const giveUp = new AbortController();
    const call = tell({ do: "wait-for-abort", tell: told }, { signal: giveUp.signal });
    const neighbour = tell({ do: "wait", ms: 50 });
    setTimeout(() => giveUp.abort(new Error("not wanted")), 10);
    await assert.rejects(call, { message: "not wanted" });
    await assert.rejects(tell({ do: "echo", value: 1 }, { signal: giveUp.signal }), { message: "not wanted" });
    await neighbour;
    await until("it was told", () => existsSync(told));
  });

  test(`a model in a ${noun} answers rows, tells those that failed, and is unloaded last`, async (t) => {
    const unloaded = join(tempFolder(t), "unloaded");
    const dispatcher = openLanes(t, noun);
    const model = await dispatcher.host({ kind: "rows", url: BEHAVE, settings: { unloaded } });
    assert.deepEqual(model.identity, { name: "behave", version: "1" });
    const call = { signal: new AbortController().signal, until: Number.POSITIVE_INFINITY };
    const rows = [
      { do: "echo", value: 1 },
      { do: "throw", what: "type" },
      { do: "echo", value: 3 },
    ];
    const [first, second, third] = (await model.run(rows, call)) as unknown[];
    assert.deepEqual([first, third], [1, 3]);
    assert.ok(second instanceof FailedOutput && second.error instanceof InfrastructureError && second.error.message === "row type");
    const last = model.run([{ do: "wait", ms: 50 }], call);
    await dispatcher[Symbol.asyncDispose]();
    assert.deepEqual(await last, [50]);
    assert.equal(readFileSync(unloaded, "utf8"), "unloaded\n");
    await assert.rejects(model.run([], call), InfrastructureError);
  });

  test(`what a function in a ${noun} logs comes to the logger of its dispatcher`, async (t) => {
    const lines: unknown[][] = [];
    const logger = { ...SILENT, info: (...line: unknown[]) => void lines.push(line) };
    const { tell } = await behaving(t, noun, { logger });
    await tell({ do: "log", message: "hello" });
    assert.deepEqual(lines, [[{ of: "behave", n: 1 }, "hello"]]);
  });
}
