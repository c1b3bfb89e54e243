import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { millrace, writeFiles } from "../support/millrace.ts";
import { tempFolder } from "../support/temp-folder.ts";

const PRODUCT = `
import { decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, threads, z } from "millrace";
import type model from "./model.ts";

export default defineProduct({
  name: "judge",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig, differences: sinkConfig }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map(decode.json<{ readonly n: number }>)
      .infer(threads<typeof model>(import.meta.resolve("./model.ts")), {
        shadow: { model: (rows) => rows.map(({ n }) => ({ n, high: n > 2 })), to: sink(config.differences) },
        canary: { model: (rows) => rows.map(({ n }) => ({ n, high: n > 1, where: "here" })), share: 0 },
        fallback: { value: { n: -1, high: false, where: "nowhere" } },
      })
      .to(sink(config.output)),
});
`;

const MODEL = `
import { isMainThread } from "node:worker_threads";
import { defineModel } from "millrace";

export default defineModel({
  predict: (rows: readonly { readonly n: number }[]) => rows.map(({ n }) => ({ n, high: n > 1, where: isMainThread ? "here" : "a thread" })),
});
`;

const TASK = `{ id: judged, product: judge, config: {
  input: { file: { path: numbers.ndjson } }, output: { file: { path: out.ndjson } }, differences: { file: { path: differences.ndjson } } } }`;

test("a debugger has models in its own thread, and what goes to other sinks is left alone", async (t) => {
  const cwd = tempFolder(t);
  writeFiles(cwd, {
    "products/judge/index.ts": PRODUCT,
    "products/judge/model.ts": MODEL,
    "config/tasks/judged.yaml": TASK,
    "numbers.ndjson": '{"n":1}\n{"n":2}\n',
  });
  const { code, stdout, stderr } = await millrace(["debug", "judged", "--output", "-"], { cwd });
  assert.equal(code, 0, stderr);
  assert.deepEqual(
    stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line) as unknown),
    [
      { n: 1, high: false, where: "here" },
      { n: 2, high: true, where: "here" },
    ],
  );
  assert.equal(existsSync(join(cwd, "differences.ndjson")), false);
});
