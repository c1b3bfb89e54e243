import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import type { SeedCase } from "./case.ts";
import { isFields, marksFault } from "./case.ts";
import { judge } from "./judge.ts";
import { failuresOf, readCases } from "./main.ts";
import { SIBLINGS } from "./siblings.ts";

const FILE = new URL("../seed-cases.json", import.meta.url);

/** What Millrace takes after: the features by which the cases of a system are chosen. */
const FAMILIES = [
  { system: "storey", features: ["ConcurrentExecution", "recovery", "Batch", "Map", "Filter", "Extend"], cases: 29 },
  { system: "mlserver", features: ["batch"], cases: 7 },
  { system: "mlrun", features: ["$remote"], cases: 12 },
  { system: "streamz", features: ["partition", "flatten"], cases: 3 },
];

async function casesOf({ system, features }: (typeof FAMILIES)[number]): Promise<readonly SeedCase[]> {
  const found = await Promise.all(features.map((feature) => readCases(FILE, { system, feature })));
  return [...new Map(found.flat().map((given) => [given.id, given])).values()];
}

for (const family of FAMILIES) {
  test(`${family.system}: what it does, Millrace does as well, and right where it is wrong`, async () => {
    const cases = await casesOf(family);
    const told: string[] = [];
    assert.deepEqual(await failuresOf(cases, (failure) => told.push(failure)), [], told.join("\n"));
    assert.equal(cases.length, family.cases);
  });

  test(`${family.system}: a case that expects something else fails`, async () => {
    for (const given of await casesOf(family)) {
      if (marksFault(given)) continue;
      const wrong = await judge({ ...given, expected: altered(given.expected) });
      assert.notEqual(wrong, undefined, `${given.id} passed with another expectation`);
    }
  });
}

for (const [index, sibling] of SIBLINGS.entries()) {
  test(`a case like those of the file: ${sibling.system}, ${sibling.feature} ${JSON.stringify(sibling.config)}`, async () => {
    assert.equal(await judge({ id: `sibling ${index}`, ...sibling }), undefined);
  });
}

/** The same, but for one number or text in it. */
function altered(value: unknown): unknown {
  if (typeof value === "number") return value + 1;
  if (typeof value === "string") return `${value}?`;
  if (Array.isArray(value)) return value.length === 0 ? ["something"] : [altered(value[0]), ...(value.slice(1) as unknown[])];
  if (!isFields(value)) return "something";
  const [name = "something"] = Object.keys(value);
  return { ...value, [name]: altered(value[name]) };
}

function run(...args: readonly string[]) {
  const program = fileURLToPath(new URL("../seed-cases.ts", import.meta.url));
  const { stdout, status } = spawnSync(process.execPath, [program, ...args], { encoding: "utf8" });
  return { lines: stdout.trimEnd().split("\n"), status };
}

test("the command line tells what failed, counts, and exits with 1 when something did", () => {
  const file = fileURLToPath(FILE);
  assert.deepEqual(run(file, "--system", "storey", "--feature", "flatmap"), { lines: ["1 passed, 0 failed"], status: 0 });
  const { lines, status } = run(file, "--feature", "VotingEnsemble: regression");
  assert.equal(status, 1);
  assert.match(lines[0] ?? "", /^S151 mlrun, VotingEnsemble: regression mean: not known: /);
  assert.equal(lines.at(-1), "0 passed, 2 failed");
});

test("what a case says and the runner does not know is a failure", async () => {
  const [filter] = await readCases(FILE, { system: "storey", feature: "Filter" });
  assert.ok(filter !== undefined);
  assert.equal(await judge(filter), undefined);
  assert.match(String(await judge({ ...filter, system: "unheard of" })), /^not known: /);
  assert.match(String(await judge({ ...filter, feature: "Teleport" })), /^not known: /);
  assert.match(String(await judge({ ...filter, config: { fn: "x ~ 3" } })), /^not known: can't read "x ~ 3"/);
  assert.match(String(await judge({ ...filter, expected: { output: [4, 5, 6], colour: "red" } })), /^not known: nobody looks at "colour"/);
});
