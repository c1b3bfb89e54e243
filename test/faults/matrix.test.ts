/** The table of faults tells the truth: all are in it, and the tests that it names exist. */
import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));
const COUNT = 65;

const table = readFileSync(new URL("MATRIX.md", import.meta.url), "utf8");
const rows = [...table.matchAll(/^\| (F\d+) +\| (.+?) +\| (.+?) +\|$/gm)].map(([, number = "", fault = "", where = ""]) => ({
  number,
  fault,
  where,
}));

test("every fault has its row, in order", () => {
  const numbers = Array.from({ length: COUNT }, (_, index) => `F${index + 1}`);
  assert.deepEqual(
    rows.map(({ number }) => number),
    numbers,
  );
});

for (const { number, fault, where } of rows) {
  test(`${number}, ${fault}: its tests exist, or it says why there is none`, () => {
    const named = [...where.matchAll(/`(test\/[^`]+)`: "([^"]+)"/g)];
    assert.ok(named.length > 0 || /^not (yet|here)\b/.test(where), "it names no test, and not why");
    assert.equal(named.length, where.split("`test/").length - 1, "each file comes with the name of a test in it");
    for (const [, file = "", name = ""] of named) {
      assert.ok(existsSync(join(ROOT, file)), `there is no ${file}`);
      assert.ok(readFileSync(join(ROOT, file), "utf8").includes(name), `${file} has no "${name}"`);
    }
  });
}
