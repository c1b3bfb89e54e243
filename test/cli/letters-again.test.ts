import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import type { DeadLetter } from "../../src/dead-letter.ts";
import { millraceHere, writeFiles } from "../support/millrace.ts";
import { tempFolder } from "../support/temp-folder.ts";

const PRODUCT = `import { decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, z } from "millrace";

export default defineProduct({
  name: "careful",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig, letters: sinkConfig, broken: z.boolean().default(false) }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map(decode.json, { name: "decode" })
      .map(
        (value: { n: number }) => {
          if (value.n === 2 && config.broken) throw new RangeError("two is too much");
          return value;
        },
        { name: "judge" },
      )
      .deadLetter(sink(config.letters))
      .to(sink(config.output)),
});
`;

test("a letter that is replayed and fails again stays once, with its attempts raised, and goes through when the fault is gone", async (t) => {
  const cwd = tempFolder(t);
  writeFiles(cwd, { "products/careful/index.ts": PRODUCT, "in.ndjson": '{"n":1}\n{"n":2}\nno JSON\n{"n":3}\n' });
  const task = (broken: boolean) => {
    const config = {
      input: { file: { path: "in.ndjson" } },
      output: { file: { path: "out.ndjson" } },
      letters: { file: { path: "letters.ndjson" } },
      broken,
    };
    return ["--task", JSON.stringify({ id: "try", product: "careful", config })];
  };
  const letters = async () => {
    const { stdout } = await millraceHere(["dlq", "list", "--json", ...task(true)], { cwd });
    return stdout
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as DeadLetter & { readonly text: string })
      .sort((a, b) => (a.step < b.step ? -1 : 1));
  };
  const first = await millraceHere(["debug", ...task(true)], { cwd });
  assert.equal(first.code, 0, first.stderr);
  const kept = await letters();
  assert.deepEqual(
    kept.map(({ step, text, attempts, holds }) => [step, text, attempts, holds]),
    [
      ["decode", "no JSON", 1, "record"],
      ["judge", '{"n":2}', 1, "record"],
    ],
  );
  const again = await millraceHere(["dlq", "replay", ...task(true)], { cwd });
  assert.equal(again.code, 1, again.stderr);
  assert.equal(again.stdout, "try: replayed 0, failed again 2, not replayed 0\n");
  assert.match(again.stderr, /failed again, 2 attempts: step "judge": RangeError: two is too much/);
  assert.deepEqual(
    (await letters()).map(({ id, attempts }) => [id, attempts]),
    kept.map(({ id }) => [id, 2]),
  );
  const fixed = await millraceHere(["dlq", "replay", ...task(false)], { cwd });
  assert.equal(fixed.stdout, "try: replayed 1, failed again 1, not replayed 0\n");
  assert.deepEqual(
    (await letters()).map(({ step, attempts }) => [step, attempts]),
    [["decode", 3]],
  );
  assert.equal(readFileSync(join(cwd, "out.ndjson"), "utf8"), '{"n":1}\n{"n":3}\n{"n":2}\n');
});

const COUNTER = `import { count, decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, z } from "millrace";

export default defineProduct({
  name: "counter",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig, letters: sinkConfig, broken: z.boolean() }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map(decode.json, { name: "decode" })
      .timeBy(() => 1000)
      .keyBy((value: { k: string }) => value.k)
      .window(count(2))
      .map(
        (counted) => {
          if (config.broken) throw new RangeError("too many");
          return counted;
        },
        { name: "check" },
      )
      .deadLetter(sink(config.letters))
      .to(sink(config.output)),
});
`;

test("where steps keep state, a replay is refused unless it is asked for; results of that state begin where they failed", async (t) => {
  const cwd = tempFolder(t);
  writeFiles(cwd, { "products/counter/index.ts": COUNTER, "in.ndjson": '{"k":"a"}\n{"k":"a"}\nno JSON\n' });
  const task = (broken: boolean) => {
    const config = {
      input: { file: { path: "in.ndjson" } },
      output: { file: { path: "out.ndjson" } },
      letters: { file: { path: "letters.ndjson" } },
      broken,
    };
    return ["--task", JSON.stringify({ id: "try", product: "counter", config })];
  };
  const first = await millraceHere(["debug", ...task(true)], { cwd });
  assert.equal(first.code, 0, first.stderr);
  const refused = await millraceHere(["dlq", "replay", ...task(false)], { cwd });
  assert.deepEqual([refused.code, refused.stdout], [2, ""]);
  assert.match(refused.stderr, /the steps window of task "try" keep state: replayed here.*--to source, or give --alone/);
  const derived = await millraceHere(["dlq", "replay", ...task(true), "--step", "check"], { cwd });
  assert.equal(derived.stdout, "try: replayed 0, failed again 1, not replayed 0\n");
  const fixed = await millraceHere(["dlq", "replay", ...task(false), "--step", "check"], { cwd });
  assert.equal(fixed.stdout, "try: replayed 1, failed again 0, not replayed 0\n", fixed.stderr);
  assert.match(readFileSync(join(cwd, "out.ndjson"), "utf8"), /^\{"key":"a",[^\n]*"count":2,[^\n]*\}\n$/);
  const alone = await millraceHere(["dlq", "replay", ...task(false), "--alone"], { cwd });
  assert.equal(alone.stdout, "try: replayed 0, failed again 1, not replayed 0\n");
});
