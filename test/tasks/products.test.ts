import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { mkdirSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { test } from "node:test";

import type { Logger } from "../../src/contracts.ts";
import { ConfigError, PlanError } from "../../src/errors.ts";
import { buildPlan, findProducts, loadProduct } from "../../src/tasks/products.ts";
import type { TaskDefinition } from "../../src/tasks/task.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { goodProduct, productFolder, writeProduct } from "./product-fixtures.ts";

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

test("a product is a folder with an index.ts or index.js; other folders are passed over", async (t) => {
  const root = productFolder(t, { b: "", a: "" });
  mkdirSync(join(root, "c"));
  writeFileSync(join(root, "c", "index.js"), "");
  for (const name of ["docs", ".hidden", "node_modules"]) mkdirSync(join(root, name));
  writeFileSync(join(root, ".hidden", "index.ts"), "");
  writeFileSync(join(root, "node_modules", "index.ts"), "");
  const { found, broken } = await findProducts([root]);
  assert.deepEqual(
    found.map(({ name, file }) => [name, basename(file)]),
    [
      ["a", "index.ts"],
      ["b", "index.ts"],
      ["c", "index.js"],
    ],
  );
  assert.deepEqual(broken, []);
});

test("names that are none, links that lead out, a name twice and a folder that is missing are told; the others stay", async (t) => {
  const root = productFolder(t, { good: "", Bad_Name: "" });
  const other = productFolder(t, { good: "", outside: "" });
  symlinkSync(join(other, "outside"), join(root, "link"));
  renameSync(join(root, "good"), join(root, ".real"));
  symlinkSync(join(root, ".real"), join(root, "good"));
  const missing = join(root, "missing");
  const { found, broken } = await findProducts([root, other, missing]);
  assert.deepEqual(
    found.map(({ folder }) => folder),
    [join(root, ".real"), join(other, "outside")],
  );
  const told = new Map(broken.map(({ file, reason }) => [file, reason]));
  assert.match(told.get(join(root, "Bad_Name")) ?? "", /no name for a product/);
  assert.match(told.get(join(root, "link")) ?? "", /a link that leads out of/);
  assert.match(told.get(join(other, "good")) ?? "", /already is the product "good"/);
  assert.match(told.get(missing) ?? "", /can't be read: ENOENT/);
});

test("a product outside any package is TypeScript that imports millrace", async (t) => {
  const product = await loadProduct(join(productFolder(t, { good: goodProduct("good") }), "good"));
  assert.equal(product.name, "good");
});

test("a product in JavaScript is a module also in a package that npm init made, unless it is CommonJS", async (t) => {
  const root = productFolder(t, {});
  writeFileSync(join(root, "package.json"), '{ "type": "commonjs" }');
  const made = (name: string) =>
    `({ name: "${name}", config: z.strictObject({}), pipeline: () => { throw new Error("not built in this test"); } });`;
  const texts = {
    modern: `import { defineProduct, z } from "millrace";\nexport default defineProduct${made("modern")}`,
    old: `const { defineProduct, z } = require("millrace");\nmodule.exports = defineProduct${made("old")}`,
  };
  for (const [name, text] of Object.entries(texts)) {
    mkdirSync(join(root, name));
    writeFileSync(join(root, name, "index.js"), text);
    assert.equal((await loadProduct(join(root, name))).name, name);
  }
});

test("a product in a package without a type runs without a warning", (t) => {
  const root = productFolder(t, { good: goodProduct("good") });
  writeFileSync(join(root, "package.json"), "{}");
  const program = `await import(${JSON.stringify(join(root, "good", "index.ts"))}); console.log("imported");`;
  const hooks = new URL("../../src/hooks.ts", import.meta.url).href;
  const { stdout, stderr } = spawnSync(process.execPath, ["--import", hooks, "--input-type=module", "--eval", program], {
    encoding: "utf8",
  });
  assert.deepEqual([stdout, stderr], ["imported\n", ""]);
});

const broken: readonly (readonly [how: string, source: string, where: RegExp, what: RegExp])[] = [
  ["a syntax error", "export default {\n  x: \n};", /index\.ts:3$/, /^syntax error: Expression expected/],
  ["an enum", 'import "node:fs";\nenum A { B }', /index\.ts:2$/, /enum is not supported/],
  ["an import that throws", 'const n: number = 1;\n\nthrow new Error("boom");', /index\.ts:3$/, /^boom$/],
  ["an import that throws no error", 'throw "boom";', /index\.ts$/, /^threw "boom"$/],
  [
    "an import of a file that is not there",
    'import "./gone.ts";',
    /index\.ts$/,
    /Cannot find module .*gone\.ts.* imported from .*index\.ts/,
  ],
  ["an import of a name that is not there", 'import { gone } from "node:fs";', /index\.ts:1$/, /does not provide an export named 'gone'/],
  ["no default export", "export const x = 1;", /index\.ts$/, /no default export: export default defineProduct/],
  [
    "another default export",
    "export default { name: 5 };",
    /index\.ts$/,
    /no product: name: .*; config: must be a zod schema; pipeline: must be a function/,
  ],
  ["another name", goodProduct("other"), /index\.ts$/, /name is "other" but its folder is "p"/],
  ["tasks that are no function", goodProduct("p", { more: "tasks: []" }), /index\.ts$/, /tasks: must be a function/],
];
for (const [how, source, where, what] of broken) {
  test(`a product with ${how} is an error with its place`, async (t) => {
    const folder = join(productFolder(t, { p: source }), "p");
    await assert.rejects(loadProduct(folder), (error) => {
      assert.ok(error instanceof ConfigError);
      assert.equal(error.faults.length, 1);
      assert.match(error.faults[0]?.where ?? "", where);
      assert.match(error.faults[0]?.what ?? "", what);
      return true;
    });
  });
}

test("the line of an error is the one in the product, also when a module of it threw", async (t) => {
  const root = productFolder(t, { p: 'import { f } from "./inner.ts";\nf();' });
  writeFileSync(join(root, "p", "inner.ts"), '\nexport const f = () => JSON.parse("{");');
  await assert.rejects(loadProduct(join(root, "p")), /inner\.ts:2: SyntaxError: Expected property name/);
});

function task(folder: string, config: unknown, secrets: readonly string[] = []): TaskDefinition {
  return {
    id: "t",
    product: "p",
    folder,
    code: "",
    instances: 1,
    enabled: true,
    config,
    secrets,
    where: "tasks.yaml:1",
    warnings: [],
    keepsCheckpoints: false,
    statefulSteps: [],
    modelFiles: [],
  };
}

async function build(folder: string, config: unknown, secrets?: readonly string[]) {
  const identity = { id: "t", product: "p", instance: 0, instances: 1 };
  const context = { task: identity, logger: silent, signal: new AbortController().signal };
  return buildPlan(await loadProduct(folder), task(folder, config, secrets), context);
}

test("the line of an error is told also where the folder's path has spaces and parentheses", async (t) => {
  const root = join(tempFolder(t), "my products (1)");
  writeProduct(root, "p", "\n\nthrow new TypeError('in p');");
  await assert.rejects(loadProduct(join(root, "p")), (error) => {
    assert.ok(error instanceof ConfigError);
    assert.deepEqual(error.faults, [{ where: `${join(root, "p", "index.ts")}:3`, what: "TypeError: in p" }]);
    return true;
  });
});

test("a plan is built with the parsed config, with defaults filled in", async (t) => {
  const before = "if (config.n !== 1) throw new Error(`n is ${config.n}`)";
  const root = productFolder(t, { p: goodProduct("p", { before }) });
  const plan = await build(join(root, "p"), undefined);
  assert.deepEqual(
    plan.steps.map((step) => step.name),
    ["map"],
  );
});

test("every fault of a config is told with its path and without its value", async (t) => {
  const config =
    "list: z.array(z.strictObject({ size: z.number() })), pass: z.number(), union: z.union([z.strictObject({ a: z.number() }), z.string()]), either: z.union([z.strictObject({ a: z.number() }), z.literal('off')])";
  const root = productFolder(t, { p: goodProduct("p", { config }) });
  const wrong = { list: [{ size: 1 }, { sise: "big" }], pass: "hunter22", union: { a: "x" }, either: "on" };
  await assert.rejects(build(join(root, "p"), wrong), (error) => {
    assert.ok(error instanceof ConfigError);
    assert.deepEqual(
      error.faults.map((fault) => fault.what),
      [
        "config.list[1].size: is missing (number)",
        'config.list[1].sise: unknown key. Did you mean "size"?',
        "config.pass: Invalid input: expected number, received string",
        "config.union.a: Invalid input: expected number, received string",
        'config.either: expected object, received string, or expected "off"',
      ],
    );
    assert.ok(error.faults.every((fault) => fault.where === "tasks.yaml:1"));
    return true;
  });
});

const unbuilt: readonly (readonly [how: string, body: string, message: RegExp])[] = [
  ["throws", 'throw new Error("no such model")', /product "p" failed to build: no such model \(.*p\/index\.ts:\d+\)/],
  [
    "throws with a secret in its message",
    'throw new Error("refused: hunter22 of redis://me:pw@host")',
    /refused: \[secret\] of redis:\/\/me:\[secret\]@host/,
  ],
  [
    "gives a source or sink wrong settings",
    'z.strictObject({ path: z.string() }).parse({ path: 1, paths: "a" })',
    /failed to build: path: Invalid input: expected string, received number; paths: unknown key \(.*p\/index\.ts:\d+\)$/,
  ],
  ["returns nothing", "return", /pipeline\(\) of product "p" returned nothing: return what \.to\(sink\) gives/],
  ["returns a promise", "return Promise.resolve()", /returned a promise: it must build the plan at once/],
  ["returns a pipeline without a sink", "return from(source)", /returned no plan: end the pipeline with \.to\(sink\)/],
];
for (const [how, body, message] of unbuilt) {
  test(`a pipeline that ${how} is an error that says so`, async (t) => {
    const root = productFolder(t, {});
    writeProduct(root, "p", goodProduct("p", { before: body }));
    await assert.rejects(build(join(root, "p"), {}, ["hunter22"]), (error) => {
      assert.ok(error instanceof PlanError);
      assert.match(error.message, message);
      return true;
    });
  });
}

test("a schema that throws is the task's fault, not the program's", async (t) => {
  const config = 'n: z.number().optional().refine(() => { throw new Error("bad schema"); })';
  const root = productFolder(t, { p: goodProduct("p", { config }) });
  await assert.rejects(build(join(root, "p"), {}), /config: the schema of product "p" failed on it: bad schema/);
});

test("no folder, no product", async (t) => {
  await assert.rejects(loadProduct(join(tempFolder(t), "gone")), /gone: there is no index\.ts or index\.js in it/);
});
