import assert from "node:assert/strict";
import { glob, readFile } from "node:fs/promises";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import type { Import } from "./import-order.ts";
import { importsOf, productFault, sourceFault } from "./import-order.ts";

const ROOT = fileURLToPath(new URL("../", import.meta.url));

async function importsUnder(folder: string): Promise<Import[]> {
  const imports: Import[] = [];
  for await (const file of glob(`${folder}/**/*.ts`, { cwd: ROOT })) {
    imports.push(...importsOf(file, await readFile(`${ROOT}/${file}`, "utf8")));
  }
  return imports;
}

test("src imports one way", async () => {
  const imports = await importsUnder("src");
  assert.ok(imports.length > 100, "the imports of src were found");
  assert.deepEqual(
    imports.map(sourceFault).filter((fault) => fault !== undefined),
    [],
  );
});

test("products import from millrace, node and their own folder", async () => {
  const imports = await importsUnder("products");
  assert.deepEqual(
    imports.map(productFault).filter((fault) => fault !== undefined),
    [],
  );
});

test("imports of all forms are found, and none in comments", () => {
  const text = [
    'import { a } from "./a.ts";',
    'export type { B } from "./b.ts";',
    "/* import nothing",
    '   from "./no.ts" */',
    'import {\n  c,\n} from "./c.ts";',
    'const d = await import("./d.ts");',
    '// import "./no.ts"',
    'import "./e.ts";',
  ].join("\n");
  const found = importsOf("src/x.ts", text).map(({ line, specifier, kind }) => `${line} ${kind} ${specifier}`);
  assert.deepEqual(found, ["1 value ./a.ts", "2 type ./b.ts", "7 value ./c.ts", "8 value ./d.ts", "10 value ./e.ts"]);
});

test("the types of a client's package may be used outside its home, but not against the order", () => {
  const type = { file: "src/sinks/a.ts", line: 1, kind: "type" } as const;
  assert.equal(sourceFault({ ...type, specifier: "kafkajs" }), undefined);
  assert.match(sourceFault({ ...type, specifier: "../worker/a.ts" }) ?? "", /sinks must not import worker/);
});

for (const [file, specifier, expected] of [
  ["src/kafka/a.ts", "./b.ts", undefined],
  ["src/kafka/a.ts", "../batch.ts", undefined],
  ["src/errors.ts", "./batch.ts", undefined],
  ["src/kafka/a.ts", "kafkajs", undefined],
  ["src/batch.ts", "./contracts.ts", "src/batch.ts:1: batch must not import contracts, which comes after or beside it"],
  [
    "src/pipeline/windows/a.ts",
    "../../sinks/a.ts",
    "src/pipeline/windows/a.ts:1: pipeline must not import sinks, which comes after or beside it",
  ],
  ["src/sources/a.ts", "../sinks/a.ts", "src/sources/a.ts:1: sources must not import sinks, which comes after or beside it"],
  ["src/sources/a.ts", "kafkajs", "src/sources/a.ts:1: kafkajs may be imported by kafka only"],
  ["src/sources/a.ts", "../../test/a.ts", "src/sources/a.ts:1: ../../test/a.ts is outside src/"],
  ["src/odd/a.ts", "node:fs", 'src/odd/a.ts:1: "odd" has no place in the import order: give it one in test/import-order.ts'],
] as const) {
  test(`${file} importing ${specifier} is ${expected === undefined ? "right" : "a fault"}`, () => {
    assert.equal(sourceFault({ file, line: 1, specifier, kind: "value" }), expected);
  });
}

for (const [file, specifier, isRight] of [
  ["products/a/index.ts", "millrace", true],
  ["products/a/index.ts", "./model.ts", true],
  ["products/a/index.ts", "node:fs", true],
  ["products/a/index.test.ts", "millrace/testing", true],
  ["products/a/index.ts", "millrace/testing", false],
  ["products/a/index.ts", "zod", false],
  ["products/a/index.ts", "../b/index.ts", false],
  ["products/a/index.ts", "../../src/index.ts", false],
] as const) {
  test(`${file} importing ${specifier} is ${isRight ? "right" : "a fault"}`, () => {
    assert.equal(productFault({ file, line: 1, specifier, kind: "value" }) === undefined, isRight);
  });
}
