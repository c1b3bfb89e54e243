import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { type Ended, millrace, startMillrace, writeFiles } from "../support/millrace.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { until } from "../support/until.ts";
import { INPUT, PROJECT } from "./fixtures.ts";

function project(t: TestContext, more: Readonly<Record<string, string>> = {}): string {
  const cwd = tempFolder(t);
  writeFiles(cwd, { ...PROJECT, ...more });
  return cwd;
}

function lines(text: string): unknown[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line) as unknown);
}

const DOUBLED = [
  { device: "a", value: 2 },
  { device: "b", value: 4 },
  { device: "c", value: 6 },
];

test("files stand in for source and sink, stdout has the results alone", async (t) => {
  const cwd = project(t);
  const { code, stdout, stderr } = await millrace(["debug", "twice", "--input", "input.ndjson", "--output", "-"], { cwd });
  assert.equal(code, 0, stderr);
  assert.deepEqual(lines(stdout), DOUBLED);
  assert.match(stderr, /twice: finished; in 3, out 3, filtered 0, deduplicated 0, late 0, failed 0, dead letters 0, skipped 0\n$/);
  assert.equal(existsSync(join(cwd, "config/real-output.ndjson")), false);
  assert.equal(existsSync(join(cwd, "real-output.ndjson")), false);
});

test("an output file holds the last run only", async (t) => {
  const cwd = project(t);
  for (let run = 0; run < 2; run++) {
    const { code, stderr } = await millrace(["debug", "twice", "--input", "input.ndjson", "--output", "out.ndjson"], { cwd });
    assert.equal(code, 0, stderr);
  }
  assert.deepEqual(lines(readFileSync(join(cwd, "out.ndjson"), "utf8")), DOUBLED);
});

test("--format says what the input's name does not", async (t) => {
  const cwd = project(t, { "input.data": INPUT });
  const { code, stdout, stderr } = await millrace(["debug", "twice", "--input", "input.data", "--format", "ndjson", "--output", "-"], {
    cwd,
  });
  assert.equal(code, 0, stderr);
  assert.equal(lines(stdout).length, 3);
});

test("where the task's source decodes, the lines of the input are decoded too", async (t) => {
  const product = `import { defineProduct, from, sink, sinkConfig, source, sourceConfig, z } from "millrace";

export default defineProduct({
  name: "as-given",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map((value) => ({ value, bytes: value instanceof Uint8Array }))
      .to(sink(config.output)),
});
`;
  const cwd = project(t, { "products/as-given/index.ts": product, "in.ndjson": '{"a":1}\n', "in.txt": "a,b\n", "in.csv": "a,b\n" });
  const seen = async (format: string, input: string) => {
    const task = { id: "try", product: "as-given", config: { input: { kafka: { topic: "t", format } }, output: { file: { path: "-" } } } };
    const { stdout, stderr } = await millrace(["debug", "--task", JSON.stringify(task), "--input", input], { cwd });
    return lines(stdout)[0] ?? stderr;
  };
  assert.deepEqual(await seen("json", "in.ndjson"), { value: { a: 1 }, bytes: false });
  assert.deepEqual(await seen("msgpack", "in.ndjson"), { value: { a: 1 }, bytes: false });
  assert.deepEqual(await seen("text", "in.ndjson"), { value: '{"a":1}', bytes: false });
  assert.deepEqual(await seen("csv", "in.csv"), { value: ["a", "b"], bytes: false });
  assert.match(JSON.stringify(await seen("json", "in.txt")), /at file in\.txt:1: the value is no JSON/);
});

test("--limit ends after so many events", async (t) => {
  const cwd = project(t);
  const { code, stdout, stderr } = await millrace(["debug", "twice", "--input", "input.ndjson", "--output", "-", "--limit", "2"], { cwd });
  assert.equal(code, 0, stderr);
  assert.deepEqual(lines(stdout), DOUBLED.slice(0, 2));
});

test("--task debugs a task that is in no store", async (t) => {
  const cwd = project(t, { "input.csv": "device,value\na,5\n" });
  const task = {
    id: "try",
    product: "doubler",
    config: { input: { file: { path: "input.ndjson" } }, output: { file: { path: "-" } }, factor: { by: 10 } },
  };
  const { code, stdout, stderr } = await millrace(["debug", "--task", JSON.stringify(task)], { cwd });
  assert.equal(code, 0, stderr);
  assert.deepEqual(lines(stdout)[0], { device: "a", value: 10 });
});

const WRONG: readonly (readonly [name: string, args: readonly string[], code: number, message: RegExp])[] = [
  ["a task that does not exist", ["twise"], 2, /there is no task "twise"\. Did you mean "twice"\?/],
  ["a product that does not exist", ["--task", '{"id":"a","product":"dubler"}'], 78, /no product "dubler" in .*Did you mean "doubler"\?/],
  ["a task id that leaves its folder", ["--task", '{"id":"../x","product":"doubler"}'], 78, /--task: id: no valid id for a task/],
  ["a wrong type deep in a task", ["--task", '{"id":"a","product":"doubler","config":{"factor":{"by":"x"}}}'], 78, /config\.factor\.by: /],
  ["an input that does not exist", ["twice", "--input", "none.ndjson", "--output", "-"], 1, /none\.ndjson does not exist/],
  ["an input that is a folder", ["twice", "--input", "products", "--output", "-"], 1, /products is a directory/],
  ["a record that is no JSON", ["twice", "--input", "bad.ndjson", "--output", "-"], 1, /step "decode" at file bad\.ndjson:2: /],
  [
    "an exception in the product",
    ["twice", "--input", "nan.ndjson", "--output", "-"],
    1,
    /step "double" at file nan\.ndjson:1: no number\n {2}at .*products\/doubler\/index\.ts:17\n$/,
  ],
];

for (const [name, args, code, message] of WRONG) {
  test(`${name} is told, with exit code ${code}`, async (t) => {
    const cwd = project(t, { "bad.ndjson": `${INPUT.split("\n", 1)[0]}\n{oops\n`, "nan.ndjson": '{"device":"a","value":"x"}\n' });
    const ended: Ended = await millrace(["debug", ...args], { cwd });
    assert.equal(ended.code, code, ended.stderr);
    assert.match(ended.stderr, message);
    assert.doesNotMatch(ended.stderr, /\n {4}at /, "a stack trace for a user's mistake");
  });
}

test("a secret of the task is not shown, also where the product puts it into its error", async (t) => {
  const cwd = project(t, {
    "products/teller/index.ts": `import { defineProduct, from, sink, sinkConfig, source, sourceConfig, z } from "millrace";

export default defineProduct({
  name: "teller",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig, token: z.string(), later: z.boolean().default(false) }),
  pipeline: ({ config: { input, output, token, later } }) => {
    const tell = () => {
      throw new Error("refused with " + token);
    };
    return from(source(input))
      .mapAsync(() => (later ? new Promise(() => setTimeout(tell)) : tell()))
      .to(sink(output));
  },
});
`,
    "task.yaml": `id: tell
product: teller
config: { input: { generator: { count: 1 } }, output: { file: { path: "-" } }, token: "\${env:TOKEN}" }
`,
    "later.yaml": `id: tell
product: teller
config: { input: { generator: { count: 1 } }, output: { file: { path: "-" } }, token: "\${env:TOKEN}", later: true }
`,
  });
  for (const task of ["@task.yaml", "@later.yaml"]) {
    const { code, stderr } = await millrace(["debug", "--task", task], { cwd, env: { TOKEN: "hunter22" } });
    assert.equal(code, 1, stderr);
    assert.match(stderr, /refused with \[secret\]/);
    assert.doesNotMatch(stderr, /hunter22/);
  }
});

test("an empty input is no error", async (t) => {
  const cwd = project(t, { "empty.ndjson": "" });
  const { code, stdout, stderr } = await millrace(["debug", "twice", "--input", "empty.ndjson", "--output", "-"], { cwd });
  assert.equal(code, 0, stderr);
  assert.equal(stdout, "");
  assert.match(stderr, /finished; in 0, out 0/);
});

test("a record of 50 MB is refused by its place, not by its content", async (t) => {
  const cwd = project(t, { "huge.ndjson": `{"device":"${"x".repeat(50 * 1024 * 1024)}","value":1}\n` });
  const { code, stderr } = await millrace(["debug", "twice", "--input", "huge.ndjson", "--output", "-"], { cwd });
  assert.equal(code, 1);
  assert.match(stderr, /step "source" at file huge\.ndjson:1: /);
  assert.ok(stderr.length < 1000);
});

test("SIGINT finishes what was read and exits 0", async (t) => {
  const cwd = project(t);
  const task = { id: "endless", product: "doubler", config: { input: { generator: { rate: 100 } }, output: { file: { path: "-" } } } };
  const child = startMillrace(["debug", "--task", JSON.stringify(task)], { cwd });
  t.after(() => child.kill("SIGKILL"));
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
  child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
  const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
  await until("the first result is there", () => stdout.includes("\n"));
  child.kill("SIGINT");
  assert.equal(await ended, 0, stderr);
  assert.match(stderr, /endless: stopped; in (\d+), out \1, /);
});
