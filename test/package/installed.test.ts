import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const root = fileURLToPath(new URL("../../", import.meta.url));

/** A product as a user writes it: it imports from `millrace` only. */
const PRODUCT = `
import { count, decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, threads, tumbling, z } from "millrace";
import type model from "./model.ts";

export default defineProduct({
  name: "clicks",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map(decode.json<{ readonly page: string; readonly at: number }>)
      .keyBy((click) => click.page)
      .timeBy((click) => click.at)
      .window(tumbling("1m"), { fold: { clicks: count() } })
      .map(({ key, start, value }) => ({ page: key, start, clicks: value.clicks }))
      .infer(threads<typeof model>(import.meta.resolve("./model.ts")))
      .to(sink(config.output)),
});
`;

const MODEL = `
import { defineModel } from "millrace";

interface Clicks {
  readonly page: string;
  readonly start: number;
  readonly clicks: number;
}

export default defineModel({ predict: (rows: readonly Clicks[]) => rows.map((row) => ({ ...row, busy: row.clicks > 1 })) });
`;

const INPUT = `{"page":"a","at":0}\n{"page":"b","at":1000}\n{"page":"a","at":59999}\n{"page":"a","at":60000}\n`;
const OUTPUT = `{"page":"a","start":0,"clicks":2,"busy":true}\n{"page":"b","start":0,"clicks":1,"busy":false}\n{"page":"a","start":60000,"clicks":1,"busy":false}\n`;

const DIGITS = `
id: digits
product: digits
config:
  input: { file: { path: ../products/digits/data/held-out.ndjson } }
  output: { file: { path: ../data/digits.ndjson } }
  model: processes
`;

const files: Readonly<Record<string, string>> = {
  "products/clicks/index.ts": PRODUCT,
  "products/clicks/model.ts": MODEL,
  "data/clicks.ndjson": INPUT,
  "config/millrace.yaml": "products: [../products]\ntasks: [{ files: tasks }]\nworkers: 1\nadmin: { port: 0 }\n",
  "config/tasks/clicks.yaml":
    "id: clicks\nproduct: clicks\nconfig:\n  input: { file: { path: ../data/clicks.ndjson } }\n  output: { file: { path: ../data/out.ndjson } }\n",
};

test("packed and installed in an empty project, Millrace runs a product folder there, new or unchanged from here", async (t) => {
  const project = await mkdtemp(join(tmpdir(), "millrace-installed-"));
  t.after(() => rm(project, { recursive: true, force: true }));
  const npm = (args: readonly string[], cwd: string) => run("npm", [...args], { cwd, maxBuffer: 64 * 1024 * 1024 });
  const { stdout } = await npm(["pack", "--json", "--pack-destination", project], root);
  const [packed] = JSON.parse(stdout.slice(stdout.indexOf("["))) as [{ filename: string }];
  await npm(["init", "--yes"], project);
  await npm(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", `./${packed.filename}`], project);
  for (const [file, text] of Object.entries(files)) {
    await mkdir(dirname(join(project, file)), { recursive: true });
    await writeFile(join(project, file), text);
  }
  // The Node that runs the tests: the machine's own may be too old.
  const millrace = (...args: string[]) =>
    run(process.execPath, [join("node_modules", "millrace", "bin", "millrace.js"), ...args], { cwd: project });

  await millrace("run", "--until-done");
  assert.equal(await readFile(join(project, "data/out.ndjson"), "utf8"), OUTPUT);

  const debug = await millrace("debug", "clicks", "--output", "-");
  assert.equal(debug.stdout, OUTPUT);

  await millrace("new", "made-here");
  await run(process.execPath, ["--test", "products/made-here/index.test.ts"], { cwd: project });
  const listed = JSON.parse((await millrace("list", "--json")).stdout) as { id: string; state: string }[];
  assert.deepEqual(
    listed.map(({ id, state }) => [id, state]),
    [["clicks", "stopped"]],
  );

  // A shipped product, copied, whose model needs a package that comes beside Millrace.
  await cp(join(root, "products/digits"), join(project, "products/digits"), { recursive: true });
  await rm(join(project, "config/tasks/clicks.yaml"));
  await writeFile(join(project, "config/tasks/digits.yaml"), DIGITS);
  await assert.rejects(millrace("debug", "digits", "--output", "-"), {
    stderr: /digits\.onnx: ONNX models need a package.*npm install onnxruntime-node/,
  });
  for (const name of ["onnxruntime-node", "onnxruntime-common"])
    await symlink(join(root, "node_modules", name), join(project, "node_modules", name));
  await millrace("run", "--until-done");
  assert.match(
    await readFile(join(project, "data/digits.ndjson"), "utf8"),
    /^(\{"id":"held-out-\d+","digit":\d,"probability":[\d.]+\}\n){360}$/,
  );
});
