import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { Catalog } from "../../src/tasks/catalog.ts";
import type { TaskDefinition } from "../../src/tasks/task.ts";
import { until } from "../support/until.ts";
import { goodProduct, productFolder } from "./product-fixtures.ts";

const patience = { answer: 3_000, first: 1_000, hold: 300 };

/** What tasks of the product in a folder have in common. */
function commonOf(folder: string): Omit<TaskDefinition, "config"> {
  return {
    id: "t",
    product: "p",
    folder,
    code: "",
    instances: 1,
    enabled: true,
    secrets: [],
    where: "here",
    warnings: [],
    keepsCheckpoints: false,
    statefulSteps: [],
    modelFiles: [],
  };
}

test("products that hang, die or fill the memory at import are told apart, and harm no other", async (t) => {
  const sources: Readonly<Record<string, string>> = {
    a: goodProduct("a"),
    exits: "process.exit(3);",
    hangs: "for (;;);",
    never: "await new Promise(() => {});",
    killed: 'process.kill(process.pid, "SIGTERM"); await new Promise(() => {});',
    z: goodProduct("z"),
  };
  const root = productFolder(t, sources);
  await using catalog = new Catalog(t.signal, patience);
  const answers = await catalog.ask(Object.keys(sources).map((name) => ({ type: "load", folder: join(root, name) })));
  assert.deepEqual(
    answers.map((answer) => (answer.type === "none" ? answer.reason : answer.type)),
    ["loaded", "called process.exit(3)", "did not finish in 3 s", "did not finish in 3 s", "ended the process by SIGTERM", "loaded"],
  );
});

test("a product whose import dies later is not blamed on the next one", async (t) => {
  const bomb = `${goodProduct("bomb")}\nsetTimeout(() => { throw new Error("late"); }, 1);`;
  const slow = `await new Promise((resolve) => setTimeout(resolve, 200));\n${goodProduct("slow")}`;
  const root = productFolder(t, { bomb, slow });
  await using catalog = new Catalog(t.signal, patience);
  const answers = await catalog.ask(["bomb", "slow"].map((name) => ({ type: "load", folder: join(root, name) })));
  assert.deepEqual(
    answers.map((answer) => answer.type),
    ["loaded", "loaded"],
  );
});

test("an exception that nothing catches is the reason", async (t) => {
  const root = productFolder(t, { p: 'setTimeout(() => { throw new Error("boom"); }, 1);\nawait new Promise(() => {});' });
  await using catalog = new Catalog(t.signal, patience);
  const [answer] = await catalog.ask([{ type: "load", folder: join(root, "p") }]);
  assert.deepEqual(answer, { type: "none", reason: "threw an exception that nothing caught: boom" });
});

test("tasks are checked: valid, invalid with every reason, and those whose build hangs or ends the process", async (t) => {
  const before = 'if (config.n === 2) process.exit(1); if (config.n === 3) for (;;); if (config.n === 4) throw new Error("four")';
  const folder = join(productFolder(t, { p: goodProduct("p", { before }) }), "p");
  const common = commonOf(folder);
  const task = (config: unknown): TaskDefinition => ({ ...common, config });
  await using catalog = new Catalog(t.signal, patience);
  const answers = await catalog.ask(
    [{ n: 1 }, { n: 2 }, { n: 3 }, { n: 4 }, { n: "5", m: 6 }, {}].map((config) => ({ type: "check", task: task(config) })),
  );
  assert.deepEqual(answers[0], { type: "valid", warnings: [], keepsCheckpoints: false, statefulSteps: [], modelFiles: [] });
  assert.deepEqual(answers[1], { type: "none", reason: "called process.exit(1)" });
  assert.deepEqual(answers[2], { type: "none", reason: "did not finish in 3 s" });
  assert.match(JSON.stringify(answers[3]), /failed to build: four/);
  assert.match(JSON.stringify(answers[4]), /config\.n: .*config\.m: unknown key/);
  assert.deepEqual(answers[5], { type: "valid", warnings: [], keepsCheckpoints: false, statefulSteps: [], modelFiles: [] });
});

test("many that hang do not hold up the rest", async (t) => {
  const before = "if (config.n > 0) for (;;)";
  const folder = join(productFolder(t, { p: goodProduct("p", { before }) }), "p");
  const common = commonOf(folder);
  await using catalog = new Catalog(t.signal, { answer: 2_000, first: 1_000, hold: 200 });
  const order: string[] = [];
  const questions = [1, 2, 3, 4, 5, 6, 0, 0].map((n) => ({ type: "check" as const, task: { ...common, config: { n } } }));
  await catalog.ask(questions, (index, { type }) => order.push(`${index} ${type}`));
  assert.deepEqual(order.slice(0, 2).toSorted(), ["6 valid", "7 valid"]);
  assert.equal(order.length, 8);
});

test("what a product prints while it is checked goes nowhere", async (t) => {
  const program = `
    import { Catalog } from ${JSON.stringify(new URL("../../src/tasks/catalog.ts", import.meta.url).href)};
    await using catalog = new Catalog(new AbortController().signal);
    const [answer] = await catalog.ask([{ type: "load", folder: process.argv[1] }]);
    console.log(answer.type);`;
  const root = productFolder(t, { p: `console.log("to stdout"); console.error("to stderr");\n${goodProduct("p")}` });
  const child = spawn(process.execPath, ["--input-type=module", "--eval", program, join(root, "p")]);
  let printed = "";
  for (const output of [child.stdout, child.stderr]) output.on("data", (data: Buffer) => (printed += data.toString()));
  assert.equal(await new Promise((resolve) => child.on("close", resolve)), 0);
  assert.equal(printed, "loaded\n");
});

test("a product that hangs does not outlive a killed parent", async (t) => {
  const root = productFolder(t, {
    p: 'import { writeFileSync } from "node:fs";\nwriteFileSync(import.meta.dirname + "/pid", String(process.pid));\nfor (;;);',
  });
  const program = `
    import { Catalog } from ${JSON.stringify(new URL("../../src/tasks/catalog.ts", import.meta.url).href)};
    await new Catalog(new AbortController().signal).ask([{ type: "load", folder: process.argv[1] }]);`;
  const parent = spawn(process.execPath, ["--input-type=module", "--eval", program, join(root, "p")], { stdio: "ignore" });
  t.after(() => parent.kill("SIGKILL"));
  const pid = await until("the product hangs", () => Number(readFileSync(join(root, "p", "pid"), "utf8")));
  t.after(() => isAlive(pid) && process.kill(pid, "SIGKILL"));
  assert.equal(isAlive(pid), true);
  parent.kill("SIGKILL");
  await until("the hanging process is gone", () => !isAlive(pid), { timeout: 5_000 });
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}

test("giving up ends the question and the process", async (t) => {
  const root = productFolder(t, { p: "for (;;);" });
  const end = new AbortController();
  const catalog = new Catalog(end.signal);
  const asked = catalog.ask([{ type: "load", folder: join(root, "p") }]);
  end.abort(new Error("given up"));
  await assert.rejects(asked, /given up/);
  await catalog[Symbol.asyncDispose]();
  await catalog[Symbol.asyncDispose]();
});
