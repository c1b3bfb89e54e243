import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { test } from "node:test";
import type { TestContext } from "node:test";

import type { Settings } from "../../src/config/settings.ts";
import type { Logger } from "../../src/contracts.ts";
import { openTaskManager } from "../../src/tasks/manager.ts";
import type { TaskManager } from "../../src/tasks/manager.ts";
import type { TaskChange } from "../../src/tasks/task.ts";
import { ownHash } from "../support/own-hash.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { until } from "../support/until.ts";
import { goodProduct, productFolder, writeProduct } from "./product-fixtures.ts";

/** A manager over one folder of products and one of task files, its log, and its changes one by one. */
class Bench {
  readonly root: string;
  readonly tasks: string;
  readonly logged: string[] = [];
  readonly #t: TestContext;
  #changes: AsyncIterator<TaskChange> | undefined;

  constructor(t: TestContext, products: Readonly<Record<string, string>>) {
    this.#t = t;
    this.root = productFolder(t, products);
    this.tasks = join(tempFolder(t), "tasks");
    mkdirSync(this.tasks);
  }

  write(file: string, text: string): void {
    const path = join(this.tasks, file);
    writeFileSync(`${path}.tmp`, text);
    renameSync(`${path}.tmp`, path);
  }

  async open(tasks: Settings["tasks"] = [{ files: this.tasks }], hold?: number): Promise<TaskManager> {
    const patience = { answer: 3_000, first: 1_000, hold: 300 };
    const manager = await openTaskManager(
      { products: [this.root], tasks },
      { logger: this.#logger(), signal: this.#t.signal, patience, ...(hold === undefined ? {} : { hold }) },
    );
    this.#t.after(() => manager[Symbol.asyncDispose]());
    this.#changes = manager.changes(this.#t.signal)[Symbol.asyncIterator]();
    return manager;
  }

  async change(): Promise<{ readonly added: string; readonly changed: string; readonly removed: string }> {
    const next = await this.#changes?.next();
    if (next === undefined || next.done === true) throw new Error("no more changes");
    const ids = (tasks: TaskChange["added"]) => tasks.map((task) => task.id).join(" ");
    return { added: ids(next.value.added), changed: ids(next.value.changed), removed: ids(next.value.removed) };
  }

  #logger(): Logger {
    const log = (fields: object, message: string) => void this.logged.push(`${message} ${JSON.stringify(fields)}`);
    const logger: Logger = { debug: log, info: log, warn: log, error: log, child: () => logger };
    return logger;
  }
}

function ids(manager: TaskManager): string {
  return [...manager.current().valid.keys()].join(" ");
}

test("a change of a file yields exactly the tasks that were added, changed and removed", async (t) => {
  const bench = new Bench(t, { p: goodProduct("p") });
  bench.write("a.yaml", "- { id: a1, product: p }\n- { id: a2, product: p }\n");
  bench.write("b.json", '{ "id": "b", "product": "p", "instances": 2 }');
  const manager = await bench.open();
  assert.equal(ids(manager), "a1 a2 b");
  assert.deepEqual(manager.current().invalid, []);

  bench.write(
    "a.yaml",
    "# a comment that moves the lines\n- { product: p, id: a2, config: {} }\n- { id: a3, product: p, config: { n: 2 } }\n",
  );
  assert.deepEqual(await bench.change(), { added: "a3", changed: "a2", removed: "a1" });
  bench.write("b.json", '{ "id": "b", "product": "p", "instances": 3 }');
  assert.deepEqual(await bench.change(), { added: "", changed: "b", removed: "" });
  bench.write("b.json", '{ "id": "b", "product": "p", "instances": 3, "enabled": false }');
  assert.deepEqual(await bench.change(), { added: "", changed: "b", removed: "" });
  assert.equal(manager.current().valid.get("b")?.enabled, false);
  bench.write("c.yaml", "# moved here\n- { id: a3, product: p, config: { n: 2 } }\n- { id: c, product: p }");
  bench.write("a.yaml", "[]");
  assert.deepEqual(await bench.change(), { added: "c", changed: "", removed: "a2" });
});

test("what is mistaken is told with its place, and harms no other task", async (t) => {
  const bench = new Bench(t, {
    good: goodProduct("good", { before: "if (config.n === 7) for (;;)" }),
    exits: "process.exit(3);",
    syntax: "export default {\n  x: \n};",
  });
  bench.write("a.yaml", "- { id: a, product: good }\n- { id: b, product: good, config: { n: x } }\n");
  bench.write(
    "b.yaml",
    `- { id: ../b, product: good }
- { id: c, product: goood }
- { id: d, product: exits }
- { id: e, product: syntax }
- { id: a, product: good }
- { id: f, product: good, instances: 0, enabled: "no", extra: 1 }
- { product: good }
- { id: g, product: good, config: { n: 7 } }
- { id: h, product: good, config: { n: 8 }, __proto__: {} }
- { id: i, product: good, config: { n: "\${env:MILLRACE_NOT_SET}" } }
- { id: j, product: good, config: { n: 1 } }`,
  );
  bench.write("c.yaml", "id: k\nproduct: [\n");
  const manager = await bench.open();
  assert.equal(ids(manager), "a j");
  const told = manager.current().invalid.map(({ id, where, reason }) => `${id} | ${where.slice(bench.tasks.length + 1)} | ${reason}`);
  const expected: readonly RegExp[] = [
    /^.*c\.yaml:\d \| c\.yaml:\d \| broken YAML/,
    /^\.\.\/b \| b\.yaml:1 \| id: no valid id for a task: use letters/,
    /^f \| b\.yaml:6 \| instances: must be a whole number from 1 to 1000; enabled: .*expected boolean.*; extra: unknown key$/,
    /^.*b\.yaml:7 \| b\.yaml:7 \| id: is missing \(string\)$/,
    /^h \| b\.yaml:9 \| .*__proto__: this key is not allowed/,
    /^i \| b\.yaml:10 \| config\.n: \$\{env:MILLRACE_NOT_SET\}: the environment variable MILLRACE_NOT_SET is not set$/,
    /^b \| a\.yaml:2 \| config\.n: Invalid input: expected number, received string$/,
    /^c \| b\.yaml:2 \| product: there is no product "goood"\. Did you mean "good"\?$/,
    /^d \| b\.yaml:3 \| product "exits" can't be used: .*exits\/index\.ts: its import called process\.exit\(3\)$/,
    /^e \| b\.yaml:4 \| product "syntax" can't be used: .*syntax\/index\.ts:3: syntax error/,
    /^g \| b\.yaml:8 \| the pipeline of product "good" failed to build: pipeline\(\) did not finish in 3 s$/,
    /^a \| b\.yaml:5 \| id: .*a\.yaml:1 already has a task "a"$/,
  ];
  assert.equal(told.length, expected.length, told.join("\n"));
  for (const [index, pattern] of expected.entries()) assert.match(told[index] ?? "", pattern);
  assert.deepEqual(
    manager
      .current()
      .invalid.filter((task) => task.replaced)
      .map((task) => task.id),
    ["a"],
  );
  assert.deepEqual(
    manager.current().brokenProducts.map((product) => product.name),
    ["exits", "syntax"],
  );
  assert.equal(bench.logged.length, expected.length + 2, "each is logged once");
});

test("checks that take long hold up no other task, neither at start nor at a change", async (t) => {
  const bench = new Bench(t, { p: goodProduct("p", { before: "if (config.n > 6) for (;;)" }) });
  const looping = Array.from({ length: 6 }, (_, index) => `- { id: b${index}, product: p, config: { n: 7 } }`);
  bench.write("a.yaml", [...looping, "- { id: good, product: p }", ""].join("\n"));
  const manager = await bench.open(undefined, 300);
  assert.equal(ids(manager), "good");
  assert.equal(manager.current().pending.length, 6);
  assert.deepEqual(manager.current().invalid, []);
  bench.write("b.yaml", "{ id: later, product: p, config: { n: 1 } }");
  await until("the new one is there", () => manager.current().valid.has("later"));
  assert.ok(manager.current().pending.length > 0);
  bench.write("b.yaml", "{ id: later, product: p, config: { n: 8 } }");
  await until("all are checked", () => manager.current().pending.length === 0 && manager.current().invalid.length === 7, {
    timeout: 60_000,
  });
  assert.deepEqual(manager.current().valid.get("later")?.config, { n: 1 }, "as last read");
  assert.equal(bench.logged.filter((line) => line.includes("mistaken")).length, 7, "each is logged once");
});

test("a task that takes long to check is waited for when there is no other", async (t) => {
  const bench = new Bench(t, { p: goodProduct("p", { before: "for (;;)" }) });
  bench.write("a.yaml", "{ id: a, product: p }");
  const manager = await bench.open(undefined, 300);
  assert.deepEqual(manager.current().pending, []);
  assert.match(manager.current().invalid[0]?.reason ?? "", /did not finish in 3 s/);
});

test("a mistaken edit stops nothing that runs, and is told until it is made good", async (t) => {
  const bench = new Bench(t, { p: goodProduct("p") });
  bench.write("a.yaml", "{ id: a, product: p, config: { n: 1 } }");
  bench.write("b.yaml", "{ id: b, product: p }");
  const manager = await bench.open();
  for (const mistake of [
    "{ id: a, product: p, config: {",
    "{ id: a, product: p, config: { n: x } }",
    "{ id: a, product: p, instances: -1 }",
    "{ id: a, product: pp, config: { n: 2 } }",
  ]) {
    bench.write("a.yaml", mistake);
    assert.deepEqual(await bench.change(), { added: "", changed: "", removed: "" });
    assert.deepEqual(manager.current().valid.get("a")?.config, { n: 1 });
    assert.equal(manager.current().invalid.length, 1);
  }
  assert.equal(manager.current().invalid[0]?.replaced, true);
  bench.write("a.yaml", "{ id: a, product: p, config: { n: 2 } }");
  assert.deepEqual(await bench.change(), { added: "", changed: "a", removed: "" });
  assert.deepEqual(manager.current().invalid, []);
});

test("a row whose text turns bad stops nothing that runs", async (t) => {
  const bench = new Bench(t, { p: goodProduct("p") });
  const path = join(tempFolder(t), "tasks.db");
  const database = new DatabaseSync(path);
  t.after(() => database.close());
  database.exec(`CREATE TABLE tasks (id, product, config); INSERT INTO tasks VALUES ('a', 'p', '{"n":1}')`);
  const manager = await bench.open([{ sql: { url: `sqlite:${path}`, query: "SELECT * FROM tasks", every: 50 } }]);
  database.exec("UPDATE tasks SET config = '{\"n\":'");
  assert.deepEqual(await bench.change(), { added: "", changed: "", removed: "" });
  assert.deepEqual(manager.current().valid.get("a")?.config, { n: 1 });
  assert.deepEqual(
    manager.current().invalid.map(({ id, reason, replaced }) => ({ id, reason, replaced })),
    [{ id: "a", reason: "config: the text is no JSON", replaced: true }],
  );
});

test("a second task with an id that is taken does not harm the first, even from a file that comes before it", async (t) => {
  const bench = new Bench(t, { p: goodProduct("p") });
  bench.write("b.yaml", "{ id: x, product: p, config: { n: 1 } }");
  const manager = await bench.open();
  bench.write("a.yaml", "{ id: x, product: p, config: { n: 2 } }");
  assert.deepEqual(await bench.change(), { added: "", changed: "", removed: "" });
  assert.match(manager.current().invalid[0]?.reason ?? "", /b\.yaml:1 already has a task "x"/);
  rmSync(join(bench.tasks, "b.yaml"));
  assert.deepEqual(await bench.change(), { added: "", changed: "x", removed: "" });
  assert.deepEqual(manager.current().valid.get("x")?.config, { n: 2 });
});

test("a reload sees changed product code: the tasks of that product count as changed, others do not", async (t) => {
  const bench = new Bench(t, { p: goodProduct("p"), q: goodProduct("q") });
  bench.write("a.yaml", "- { id: a, product: p }\n- { id: b, product: q }\n");
  const manager = await bench.open();
  assert.deepEqual(await counts(manager.reload()), { added: 0, changed: [], removed: 0 });
  writeProduct(bench.root, "p", goodProduct("p", { config: "n: z.number().default(5)" }));
  assert.deepEqual(await counts(manager.reload()), { added: 0, changed: ["a"], removed: 0 });
  assert.deepEqual(await bench.change(), { added: "", changed: "a", removed: "" });

  writeProduct(bench.root, "p", "for (;;);");
  assert.deepEqual(await counts(manager.reload()), { added: 0, changed: [], removed: 0 });
  assert.equal(ids(manager), "b a", "the tasks of a product that broke go on");
  assert.match(manager.current().brokenProducts[0]?.reason ?? "", /its import did not finish in 3 s/);
  renameSync(bench.root, `${bench.root}-away`);
  assert.deepEqual(await counts(manager.reload()), { added: 0, changed: [], removed: 0 });
  assert.match(manager.current().brokenProducts[0]?.reason ?? "", /the folder of products can't be read: ENOENT/);
  renameSync(`${bench.root}-away`, bench.root);
  rmSync(join(bench.root, "p"), { recursive: true });
  assert.deepEqual(await counts(manager.reload()), { added: 0, changed: [], removed: 1 });
});

test("a model's file is no part of its task's code, but a model that can't be one is told of, and is no reason to begin again", async (t) => {
  const product = goodProduct("p").replace("from(source)", 'from(source).infer(worker(import.meta.resolve("./model.ts")))');
  const bench = new Bench(t, { p: product.replace("import { ", "import { worker, ") });
  const write = (text: string) => writeFileSync(join(bench.root, "p", "model.ts"), text);
  write("export default { predict: (rows) => rows };");
  bench.write("a.yaml", "{ id: a, product: p }");
  const manager = await bench.open();
  const { code } = manager.current().valid.get("a") ?? {};
  write("export default { predict: (rows) => [...rows] };");
  assert.deepEqual(await counts(manager.reload()), { added: 0, changed: [], removed: 0 });
  write("export default {};");
  assert.deepEqual(await counts(manager.reload()), { added: 0, changed: [], removed: 0 });
  assert.match(manager.current().invalid[0]?.reason ?? "", /model\.ts: its default export has no predict/);
  assert.equal(manager.current().invalid[0]?.replaced, true);
  writeProduct(bench.root, "p", `${product.replace("import { ", "import { worker, ")}\n// another`);
  assert.deepEqual(await counts(manager.reload()), { added: 0, changed: [], removed: 0 });
  write("export default { predict: (rows) => rows };");
  assert.deepEqual(await counts(manager.reload()), { added: 0, changed: ["a"], removed: 0 });
  assert.notEqual(manager.current().valid.get("a")?.code, code);
});

async function counts(reload: Promise<TaskChange>): Promise<object> {
  const { added, changed, removed } = await reload;
  return { added: added.length, changed: changed.map((task) => task.id), removed: removed.length };
}

test("a product that comes, or is made good, is found when a task wants it", async (t) => {
  const bench = new Bench(t, { p: "export default {" });
  bench.write("a.yaml", "{ id: a, product: p }");
  const manager = await bench.open();
  assert.equal(ids(manager), "");
  writeProduct(bench.root, "p", goodProduct("p"));
  writeProduct(bench.root, "q", goodProduct("q"));
  bench.write("b.yaml", "{ id: b, product: q }");
  assert.deepEqual(await bench.change(), { added: "a b", changed: "", removed: "" });
  assert.deepEqual(manager.current().brokenProducts, []);
});

test("a product's own tasks are tasks like others; when they can't be told any more they stay", async (t) => {
  const bench = new Bench(t, {
    p: goodProduct("p", { more: 'tasks: async () => [{ id: "own", config: { n: 2 } }, { id: "a" }, { id: "b", product: "q" }]' }),
  });
  bench.write("a.yaml", "{ id: a, product: p }");
  const manager = await bench.open();
  assert.equal(ids(manager), "a own");
  assert.deepEqual(manager.current().valid.get("own")?.config, { n: 2 });
  assert.deepEqual(
    manager.current().invalid.map((task) => [task.id, task.where]),
    [
      ["b", 'tasks() of product "p", number 3'],
      ["a", 'tasks() of product "p", number 2'],
    ],
  );
  writeProduct(bench.root, "p", goodProduct("p", { more: 'tasks: async () => { throw new Error("no list today"); }' }));
  await manager.reload();
  assert.equal(ids(manager), "a own");
  assert.match(
    manager
      .current()
      .invalid.map((task) => task.reason)
      .join("\n"),
    /tasks\(\) of product "p" failed: no list today/,
  );
  writeProduct(bench.root, "p", goodProduct("p"));
  await manager.reload();
  assert.equal(ids(manager), "a");
});

test("a store that is away at start or later keeps its tasks, is told of, and is read when it is back", async (t) => {
  const bench = new Bench(t, { p: goodProduct("p") });
  const path = join(tempFolder(t), "tasks.db");
  const sql = { url: `sqlite:${path}`, query: "SELECT * FROM tasks", every: 50 };
  bench.write("a.yaml", "{ id: a, product: p }");
  const manager = await bench.open([{ sql }, { files: bench.tasks }]);
  assert.equal(ids(manager), "a");
  assert.deepEqual(
    manager.current().awayStores.map(({ store, known }) => [store, known]),
    [[`sql sqlite:${path}`, false]],
  );
  const database = new DatabaseSync(path);
  database.exec("CREATE TABLE tasks (id, product); INSERT INTO tasks VALUES ('s', 'p')");
  assert.deepEqual(await bench.change(), { added: "s", changed: "", removed: "" });
  assert.deepEqual(manager.current().awayStores, []);
  database.exec("ALTER TABLE tasks RENAME TO other");
  assert.deepEqual(await bench.change(), { added: "", changed: "", removed: "" });
  assert.equal(ids(manager), "s a");
  assert.match(manager.current().awayStores[0]?.reason ?? "", /no such table/);
  assert.equal(manager.current().awayStores[0]?.known, true);
  database.exec("ALTER TABLE other RENAME TO tasks; DELETE FROM tasks");
  assert.deepEqual(await bench.change(), { added: "", changed: "", removed: "s" });
  database.close();
  const states = bench.logged.filter((line) => line.includes("task store"));
  assert.equal(states.length, 4, "one line for each change of state");
});

test("a store that gives no answer holds up no other", async (t) => {
  const bench = new Bench(t, { p: goodProduct("p") });
  const sockets: Socket[] = [];
  const silent = createServer((socket) => void sockets.push(socket.on("error", () => undefined))).listen(0, "127.0.0.1");
  t.after(() => silent.close());
  await once(silent, "listening");
  const url = `redis://127.0.0.1:${(silent.address() as AddressInfo).port}`;
  bench.write("a.yaml", "{ id: a, product: p }");
  const manager = await bench.open([{ redis: { url, key: "tasks", every: 50 } }, { files: bench.tasks }], 300);
  assert.equal(ids(manager), "a");
  assert.deepEqual(
    manager.current().awayStores.map(({ reason, known, silent }) => ({ reason, known, silent })),
    [{ reason: "it has given no answer yet", known: false, silent: true }],
  );
  bench.write("b.yaml", "{ id: b, product: p }");
  await until("another store's change is there", () => manager.current().valid.has("b"));
  for (const socket of sockets) socket.destroy();
  await until("why is told", () => manager.current().awayStores[0]?.reason.startsWith("it has") === false);
});

test("tasks of several stores are one set, in the order of the stores", async (t) => {
  const bench = new Bench(t, { p: goodProduct("p") });
  const redis = await ownHash(t);
  await redis.put("b", { product: "p", config: { n: 2 } });
  const path = join(tempFolder(t), "tasks.db");
  const database = new DatabaseSync(path);
  database.exec("CREATE TABLE tasks (id, product); INSERT INTO tasks VALUES ('c', 'p'), ('b', 'p')");
  database.close();
  bench.write("a.yaml", "{ id: a, product: p }");
  const manager = await bench.open([
    { redis: { url: redis.url, key: redis.key, every: 50 } },
    { sql: { url: `sqlite:${path}`, query: "SELECT * FROM tasks", every: 50 } },
    { files: bench.tasks },
  ]);
  assert.equal(ids(manager), "b c a");
  assert.deepEqual(manager.current().valid.get("b")?.config, { n: 2 });
  assert.match(manager.current().invalid[0]?.reason ?? "", /field b already has a task "b"/);
  await redis.put("b", { product: "p", config: { n: 3 } });
  assert.deepEqual(await bench.change(), { added: "", changed: "b", removed: "" });
});

test("a secret of a task is in no reason and no log line", async (t) => {
  const bench = new Bench(t, {
    p: goodProduct("p", { config: "pass: z.string()", before: "throw new Error(`no login with ${config.pass}`)" }),
  });
  bench.write(".password", "hunter22");
  bench.write(
    "a.yaml",
    '- { id: a, product: p, config: { pass: "${file:.password}" } }\n- { id: b, product: p, config: { pass: "redis://me:hunter33@host" } }',
  );
  const manager = await bench.open();
  assert.equal(manager.current().invalid.length, 2);
  const shown = JSON.stringify(manager.current().invalid) + bench.logged.join("\n");
  assert.doesNotMatch(shown, /hunter/);
  assert.match(shown, /no login with \[secret\]/);
});

test("changes end when the manager is disposed of, or when their signal aborts", async (t) => {
  const bench = new Bench(t, { p: goodProduct("p") });
  const manager = await bench.open();
  const end = new AbortController();
  const mine = manager.changes(end.signal)[Symbol.asyncIterator]().next();
  const others = manager.changes(t.signal)[Symbol.asyncIterator]().next();
  end.abort();
  assert.equal((await mine).done, true);
  await manager[Symbol.asyncDispose]();
  assert.equal((await others).done, true);
  await manager[Symbol.asyncDispose]();
});

test("opening can be given up", async (t) => {
  const root = productFolder(t, { p: "for (;;);" });
  const options = { logger: new Proxy({} as Logger, { get: (_, key) => (key === "child" ? () => options.logger : () => undefined) }) };
  const opening = openTaskManager({ products: [root], tasks: [] }, { ...options, signal: AbortSignal.timeout(300) });
  await assert.rejects(opening, { name: "TimeoutError" });
});
