import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import type { OpenContext } from "../../src/contracts.ts";
import type { DeadLetter } from "../../src/dead-letter.ts";
import { fileSink } from "../../src/sinks/file.ts";
import { letterOf } from "../support/letters.ts";
import { millraceHere as millrace, writeFiles } from "../support/millrace.ts";
import { openContext } from "../support/open-context.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { PROJECT } from "./fixtures.ts";

const never = new AbortController().signal;
const SINK = JSON.stringify({ file: { path: "letters.ndjson" } });
const OF_TASK = ["--task", "twice", "--sink", SINK];
const id = (number: number) => String(number).padStart(32, "0");
const reading = (number: number, value: string, given: Partial<DeadLetter> = {}) =>
  letterOf(number, { id: id(number), task: "twice", product: "doubler", value: Buffer.from(value), ...given });

const GOOD = reading(1, '{"device":"a","value":1}');
const BAD = reading(2, '{"device":', { attempts: 2 });
const DERIVED = reading(3, '{"device":"c","value":3}', { holds: "derived", step: "double", error: "RangeError", time: Number.NaN });
const OTHER = letterOf(4, { task: "another" });

/** A project with a task `twice` and these dead letters, in the folder of its settings. */
async function project(t: TestContext, letters: readonly DeadLetter[]): Promise<{ cwd: string; ids: () => Promise<readonly string[]> }> {
  const cwd = tempFolder(t);
  writeFiles(cwd, PROJECT);
  const spec = fileSink({ path: "letters.ndjson" });
  const context: OpenContext = openContext(t, { directory: cwd });
  const open = async () => (await spec.openLetters?.(context)) ?? assert.fail("a file keeps letters");
  await using box = await open();
  await box.write(letters, never);
  return {
    cwd,
    ids: async () => {
      await using again = await open();
      return await Array.fromAsync(again.read("twice", never), (letter) => letter.id);
    },
  };
}

async function dlq(cwd: string, ...args: readonly string[]) {
  return await millrace(["dlq", ...args], { cwd });
}

test("dlq list shows the letters of a task, those that the filters choose", async (t) => {
  const { cwd } = await project(t, [GOOD, BAD, DERIVED, OTHER]);
  const all = await dlq(cwd, "list", ...OF_TASK);
  assert.equal(all.code, 0, all.stderr);
  assert.match(all.stdout, /^ID +STEP +ERROR +ATTEMPTS +LAST +ORIGIN +MESSAGE\n/);
  assert.match(all.stdout, new RegExp(`${BAD.id} +decode +SyntaxError +2 +2026-01-01T00:00:00\\.002Z +kafka orders/3@2 +the value is no`));
  assert.equal(all.stdout.trim().split("\n").length, 4);
  const idsOf = async (...flags: readonly string[]) => {
    const { stdout, stderr, code } = await dlq(cwd, "list", "--json", ...OF_TASK, ...flags);
    assert.equal(code, 0, stderr);
    return stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => (JSON.parse(line) as DeadLetter).id);
  };
  assert.deepEqual(await idsOf(), [GOOD.id, BAD.id, DERIVED.id]);
  assert.deepEqual(await idsOf("--step", "double"), [DERIVED.id]);
  assert.deepEqual(await idsOf("--error", "SyntaxError", "--limit", "1"), [GOOD.id]);
  assert.deepEqual(await idsOf("--since", "2026-01-01T00:00:00.002Z"), [BAD.id, DERIVED.id]);
  assert.deepEqual(await idsOf("--until", "2026-01-01T00:00:00.002Z", "--id", BAD.id, "--id", DERIVED.id), [BAD.id]);
  const wrong = await dlq(cwd, "list", ...OF_TASK, "--since", "noon");
  assert.equal(wrong.code, 2);
  assert.match(wrong.stderr, /--since: "noon" is no time/);
});

test("dlq show tells all of one letter", async (t) => {
  const { cwd } = await project(t, [GOOD, reading(5, "", { value: Buffer.from([0xff, 0x00]) })]);
  const { stdout, code } = await dlq(cwd, "show", GOOD.id, ...OF_TASK);
  assert.equal(code, 0);
  assert.match(stdout, /origin +kafka orders\/3@1\n/);
  assert.match(stdout, /header +trace: t1\n/);
  assert.match(stdout, /stack:\nSyntaxError: the value is no JSON\n {4}at decode/);
  assert.match(stdout, /value \(24 bytes\):\n\{"device":"a","value":1\}\n$/);
  assert.match((await dlq(cwd, "show", id(5), ...OF_TASK)).stdout, /value \(2 bytes\):\nff00\n$/);
  const none = await dlq(cwd, "show", id(9), ...OF_TASK);
  assert.equal(none.code, 2);
  assert.match(none.stderr, /no dead letter "0+9"/);
});

test("dlq drop takes away what it is told to, and all only when it is told so", async (t) => {
  const { cwd, ids } = await project(t, [GOOD, BAD, DERIVED]);
  const unclear = await dlq(cwd, "drop", ...OF_TASK);
  assert.equal(unclear.code, 2);
  assert.match(unclear.stderr, /or give --all/);
  const one = await dlq(cwd, "drop", ...OF_TASK, "--step", "double");
  assert.deepEqual([one.code, one.stdout], [0, "twice: 1 dead letter dropped\n"]);
  assert.deepEqual(await ids(), [GOOD.id, BAD.id]);
  await dlq(cwd, "drop", ...OF_TASK, "--all");
  assert.deepEqual(await ids(), []);
});

test("dlq replay sends letters through the pipeline, and keeps those that fail again", async (t) => {
  const { cwd, ids } = await project(t, [GOOD, DERIVED, OTHER]);
  const { code, stdout, stderr } = await dlq(cwd, "replay", ...OF_TASK);
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "twice: replayed 2, failed again 0, not replayed 0\n");
  assert.equal(readFileSync(join(cwd, "real-output.ndjson"), "utf8"), '{"device":"a","value":2}\n{"device":"c","value":6}\n');
  assert.deepEqual(await ids(), []);
});

test("letters that can't be replayed stay, and are named", async (t) => {
  const gone = reading(6, "{}", { holds: "derived", step: "no-such-step" });
  const { cwd, ids } = await project(t, [reading(5, "", { value: null, leftOut: 5_000_000 }), gone, GOOD]);
  const { code, stdout, stderr } = await dlq(cwd, "replay", ...OF_TASK);
  assert.equal(code, 1);
  assert.equal(stdout, "twice: replayed 1, failed again 0, not replayed 2\n");
  assert.match(stderr, /0005: its value of 5000000 bytes was too large/);
  assert.match(stderr, /1 of step "no-such-step": the pipeline has no such step any more/);
  assert.deepEqual(await ids(), [id(5), id(6)]);
});

test("a task without a place for dead letters, and a sink that is none, are told", async (t) => {
  const { cwd } = await project(t, []);
  const none = await dlq(cwd, "list", "--task", "twice");
  assert.equal(none.code, 2);
  assert.match(none.stderr, /task "twice" has no place for dead letters: its pipeline has no \.deadLetter/);
  const wrong = await dlq(cwd, "list", "--task", "twice", "--sink", '{"redis":{"list":"l"}}');
  assert.equal(wrong.code, 1);
  assert.match(wrong.stderr, /a redis sink can't keep dead letters/);
  const back = await dlq(cwd, "replay", ...OF_TASK, "--to", "source");
  assert.equal(back.code, 2);
  assert.match(back.stderr, /nothing can be written back to a generator source/);
});

test("debug runs a letter through the task, writes nothing and resolves nothing", async (t) => {
  const { cwd, ids } = await project(t, [GOOD, DERIVED]);
  const one = await millrace(["debug", "twice", "--sink", SINK, "--letter", DERIVED.id, "--output", "out.ndjson"], { cwd });
  assert.equal(one.code, 0, one.stderr);
  assert.equal(readFileSync(join(cwd, "out.ndjson"), "utf8"), '{"device":"c","value":6}\n');
  const all = await millrace(["debug", "twice", "--sink", SINK, "--dead-letters", "--limit", "1"], { cwd });
  assert.equal(all.code, 0, all.stderr);
  assert.match(all.stderr, /twice: finished; in 1, out 1/);
  assert.equal(existsSync(join(cwd, "real-output.ndjson")), false);
  assert.deepEqual(await ids(), [GOOD.id, DERIVED.id]);
});
