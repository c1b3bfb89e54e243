import assert from "node:assert/strict";
import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

import { FilesStore } from "../../../src/tasks/stores/files.ts";
import { taskStoreSuite } from "../../conformance/task-store.ts";
import { tempFolder } from "../../support/temp-folder.ts";

for (const form of ["yaml", "json"] as const) {
  taskStoreSuite(`files of ${form}`, async (t) => {
    const folder = join(tempFolder(t), "tasks");
    mkdirSync(folder);
    return {
      store: new FilesStore(folder),
      put: async (id, task) => writeFileSync(join(folder, `${id}.${form}`), JSON.stringify({ id, ...task })),
      remove: async (id) => rmSync(join(folder, `${id}.${form}`)),
      putBroken: async (id) => writeFileSync(join(folder, `${id}.${form}`), "{ id: b\n"),
      away: async () => renameSync(folder, `${folder}-away`),
      back: async () => renameSync(`${folder}-away`, folder),
    };
  });
}

test("a list of tasks, several documents, anchors and merges; lines are told", async (t) => {
  const folder = tempFolder(t);
  const text = `# tasks\n- &one\n  id: a\n  product: p\n- { <<: *one, id: b }\n---\nid: c\nproduct: q\n`;
  writeFileSync(join(folder, "all.yml"), text);
  const { tasks, faults } = await new FilesStore(folder).read(t.signal);
  assert.deepEqual(
    tasks.map((task) => [task.value, task.where]),
    [
      [{ id: "a", product: "p" }, `${folder}/all.yml:3`],
      [{ id: "b", product: "p" }, `${folder}/all.yml:5`],
      [{ id: "c", product: "q" }, `${folder}/all.yml:7`],
    ],
  );
  assert.deepEqual(faults, []);
});

const faulty: readonly (readonly [name: string, file: string, text: string, where: RegExp, what: RegExp])[] = [
  ["broken YAML", "x.yaml", "id: a\nproduct: [p\nconfig: {}\n", /x\.yaml:[23]$/, /broken YAML at column \d+: /],
  ["a key twice", "x.yaml", "id: a\nid: b\n", /x\.yaml:2$/, /Map keys must be unique/],
  ["broken JSON", "x.json", '{\n  "id": "a",\n  oops\n}', /x\.json:3$/, /broken JSON: unexpected text at column 3/],
  ["JSON that ends early", "x.json", '{\n  "id": "a"', /x\.json:2$/, /broken JSON: unexpected end of the file/],
  ["an empty file", "x.yaml", "\n", /x\.yaml$/, /the file is empty; write \[\]/],
  ["text", "x.yaml", "hello", /x\.yaml:1$/, /holds one task .* or a list/],
  ["a bomb of aliases", "x.yaml", bomb(), /x\.yaml$/, /[Aa]lias/],
];
for (const [name, file, text, where, what] of faulty) {
  test(`${name} is a fault with its place, and shows nothing of the text`, async (t) => {
    const folder = tempFolder(t);
    writeFileSync(join(folder, file), text);
    const { tasks, faults } = await new FilesStore(folder).read(t.signal);
    assert.deepEqual(tasks, []);
    assert.equal(faults.length, 1);
    assert.match(faults[0]?.where ?? "", where);
    assert.match(faults[0]?.what ?? "", what);
    assert.doesNotMatch(faults[0]?.what ?? "", /hello|oops/);
  });
}

function bomb(): string {
  const levels = Array.from({ length: 9 }, (_, n) => `l${n + 1}: &l${n + 1} [${Array(9).fill(`*l${n}`).join(", ")}]`);
  return ["id: a", "l0: &l0 [x, x, x]", ...levels].join("\n");
}

test("a byte order mark, as Windows writes it, is skipped", async (t) => {
  const folder = tempFolder(t);
  writeFileSync(join(folder, "a.json"), '\uFEFF{"id": "a"}');
  writeFileSync(join(folder, "b.yaml"), "\uFEFFid: b\n");
  const { tasks, faults } = await new FilesStore(folder).read(t.signal);
  assert.deepEqual(faults, []);
  assert.deepEqual(
    tasks.map(({ value }) => value),
    [{ id: "a" }, { id: "b" }],
  );
});

test("only comments, or an empty list, is no task and no fault", async (t) => {
  const folder = tempFolder(t);
  writeFileSync(join(folder, "a.yaml"), "# id: a\n# product: p\n");
  writeFileSync(join(folder, "b.json"), "[]");
  assert.deepEqual(await new FilesStore(folder).read(t.signal), { tasks: [], faults: [] });
});

test("a file that turns bad keeps its tasks as they were, until it is good again or gone", async (t) => {
  const folder = tempFolder(t);
  const file = join(folder, "a.yaml");
  const store = new FilesStore(folder);
  const read = async () => {
    const { tasks, faults } = await store.read(t.signal);
    return [tasks.map((task) => task.value), faults.length];
  };
  writeFileSync(file, "{ id: a, product: p }");
  assert.deepEqual(await read(), [[{ id: "a", product: "p" }], 0]);
  writeFileSync(file, "{ id: a, product: ");
  assert.deepEqual(await read(), [[{ id: "a", product: "p" }], 1]);
  assert.deepEqual(await read(), [[{ id: "a", product: "p" }], 1]);
  writeFileSync(file, "{ id: a, product: other }");
  assert.deepEqual(await read(), [[{ id: "a", product: "other" }], 0]);
  rmSync(file);
  assert.deepEqual(await read(), [[], 0]);
});

test("references are replaced; one that can't be is a fault of that task alone", async (t) => {
  const folder = tempFolder(t);
  writeFileSync(join(folder, ".password"), "hunter22\n");
  writeFileSync(
    join(folder, "a.yaml"),
    '- { id: a, product: p, config: { password: "${file:.password}" } }\n- { id: b, product: p, config: { list: ["${env:MILLRACE_NOT_SET}"] } }\n',
  );
  const { tasks, faults } = await new FilesStore(folder).read(t.signal);
  const [a, b] = tasks;
  assert.deepEqual(a?.value, { id: "a", product: "p", config: { password: "hunter22" } });
  assert.deepEqual(a?.secrets, ["hunter22"]);
  assert.deepEqual(a?.faults, []);
  assert.match(
    b?.faults.join("\n") ?? "",
    /^config\.list\[0\]: \$\{env:MILLRACE_NOT_SET\}: the environment variable MILLRACE_NOT_SET is not set$/,
  );
  assert.deepEqual(faults, []);
});

test("relative paths of references count from the settings file", async (t) => {
  const folder = tempFolder(t);
  mkdirSync(join(folder, "tasks"));
  writeFileSync(join(folder, "password"), "hunter22\n");
  writeFileSync(join(folder, "tasks/a.yaml"), 'id: a\nproduct: p\nconfig: "${file:password}"\n');
  const { tasks } = await new FilesStore(join(folder, "tasks"), folder).read(t.signal);
  assert.deepEqual(tasks[0]?.value, { id: "a", product: "p", config: "hunter22" });
});

test("dot files, other files and folders are passed over; a dangling link and a folder named like a file are faults", async (t) => {
  const folder = tempFolder(t);
  for (const name of [".hidden.yaml", "notes.txt", "a.yaml~"]) writeFileSync(join(folder, name), "broken: [");
  mkdirSync(join(folder, "sub"));
  mkdirSync(join(folder, "folder.yaml"));
  symlinkSync(join(folder, "nowhere"), join(folder, "link.yaml"));
  const { tasks, faults } = await new FilesStore(folder).read(t.signal);
  assert.deepEqual(tasks, []);
  assert.deepEqual(faults.map((fault) => fault.where).toSorted(), [join(folder, "folder.yaml"), join(folder, "link.yaml")]);
});
