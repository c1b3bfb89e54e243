/** What the file store keeps when its process is killed, the disk is full, or a file is torn, damaged, or of a later version. */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { fileURLToPath } from "node:url";

import type { CheckpointBytes, CheckpointClaim } from "../../src/checkpoint-store.ts";
import { manifestFile } from "../../src/checkpoints/file-format.ts";
import { DamagedStoreError, InfrastructureError } from "../../src/errors.ts";
import { openStoreAt } from "../support/checkpoint-places.ts";
import { asNobody } from "../support/nobody.ts";
import { tempFolder } from "../support/temp-folder.ts";

const WRITER = fileURLToPath(new URL("file-writer.ts", import.meta.url));
const signal = new AbortController().signal;
const name = { task: "writer", partition: "p" };
const folderOf = (path: string): string => join(path, "writer", "p");
const textOf = (bytes: Uint8Array | undefined): string | undefined => bytes && Buffer.from(bytes).toString();
const texts = (claim: Pick<CheckpointClaim, "manifests">): readonly (string | undefined)[] => claim.manifests.map(textOf);

function checkpoint(number: number, size = 10): CheckpointBytes {
  const added = new Map([[`n-${number}`, Buffer.alloc(size, String(number))]]);
  return { manifest: Buffer.from(String(number)), added, dropped: number === 1 ? [] : [`n-${number - 1}`] };
}

function manifestsIn(path: string): readonly string[] {
  const numberOf = (file: string): number => Number(file.split("-").at(-1));
  const files = readdirSync(folderOf(path)).filter((file) => file.startsWith("manifest-"));
  return files.sort((a, b) => numberOf(b) - numberOf(a)).map((file) => join(folderOf(path), file));
}

/** A folder with the checkpoints 1 to 3, of which the last two are kept. */
async function written(t: TestContext): Promise<string> {
  const path = tempFolder(t);
  const { store } = await openStoreAt(t, { file: { path } });
  const claim = await store.claim(name, signal);
  for (const number of [1, 2, 3]) await claim.save(checkpoint(number), signal);
  assert.equal(manifestsIn(path).length, 2);
  return path;
}

test("a writer that is killed again and again leaves the last confirmed checkpoint, or the next one", async (t) => {
  const path = tempFolder(t);
  let confirmed = 0;
  for (let round = 0; round < 25; round++) {
    const child = spawn(process.execPath, [WRITER, path], { stdio: ["ignore", "pipe", "inherit"] });
    const closed = once(child, "close");
    let output = "";
    child.stdout.setEncoding("utf8");
    // Killed at another moment each time, after some were saved.
    const wanted = 1 + (round % 4);
    for await (const chunk of child.stdout) {
      output += String(chunk);
      if (output.split("saved").length > wanted) setTimeout(() => child.kill("SIGKILL"), round % 5);
    }
    await closed;
    const from = Number(/from (\d+)\n/.exec(output)?.[1]);
    assert.ok(from === confirmed || from === confirmed + 1, `${confirmed} was confirmed, ${from} was found`);
    confirmed = Number([...output.matchAll(/saved (\d+)\n/g)].at(-1)?.[1]);
    const { store } = await openStoreAt(t, { file: { path } });
    const [stored] = await store.list("writer", signal);
    for (const manifest of stored?.manifests ?? []) {
      const number = textOf(manifest);
      assert.equal(textOf(await store.part(name, `n-${number}`, signal)), number?.repeat(5000), "its part is whole");
    }
  }
  // A last claim sweeps: nothing of all the killed writers is left.
  const { store } = await openStoreAt(t, { file: { path } });
  const claim = await store.claim(name, signal);
  await claim.sweep(new Set([`n-${texts(claim)[0]}`]), signal);
  const kinds = readdirSync(folderOf(path)).map((file) => file.replace(/-.*/, ""));
  assert.deepEqual(kinds.sort(), ["epoch", "manifest", "manifest", "part", "part"]);
});

/** A folder on a disk of 1 MiB, until it is disposed of; undefined where nothing can be mounted. */
function smallDisk(t: TestContext): (Disposable & { readonly path: string }) | undefined {
  const path = tempFolder(t);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", path], { stdio: "ignore" });
  } catch {
    return undefined;
  }
  return { path, [Symbol.dispose]: () => void execFileSync("umount", [path]) };
}

const FILL = Buffer.alloc(700 * 1024, "x");

test("a full disk is an infrastructure error, and damages nothing", async (t) => {
  using small = smallDisk(t);
  if (small === undefined) return t.skip("no disk can be mounted here; the limit of a file's size is tested below");
  const disk = small.path;
  const path = join(disk, "checkpoints");
  const { store } = await openStoreAt(t, { file: { path } });
  const claim = await store.claim(name, signal);
  await claim.save(checkpoint(1), signal);
  await claim.save(checkpoint(2), signal);
  writeFileSync(join(disk, "filling"), FILL);
  const isFull = (error: unknown): boolean =>
    error instanceof InfrastructureError && error.message.includes(path) && /the disk is full: free some space/.test(error.message);
  await assert.rejects(claim.save(checkpoint(3, 500 * 1024), signal), isFull);
  await assert.rejects(claim.save({ ...checkpoint(3), manifest: Buffer.alloc(500 * 1024) }, signal), isFull);
  assert.deepEqual(texts((await store.list("writer", signal))[0] ?? { manifests: [] }), ["2", "1"]);
  assert.ok(!readdirSync(folderOf(path)).some((file) => file.startsWith("tmp-")), "nothing unfinished takes up room");
  writeFileSync(join(disk, "filling"), "");
  await claim.save(checkpoint(3, 500 * 1024), signal);
  assert.deepEqual(texts(await store.claim(name, signal)), ["3", "2"]);
});

test("a write that ends in the middle is an infrastructure error, and damages nothing", async (t) => {
  const path = await written(t);
  // The limit is for the whole process, so a process of its own saves: a part of 300 KiB where files may have 64.
  const program = `
    const { FileCheckpointStore } = await import(${JSON.stringify(new URL("../../src/checkpoints/file.ts", import.meta.url).href)});
    process.on("SIGXFSZ", () => {});
    const store = new FileCheckpointStore(${JSON.stringify(path)}, { warn() {} });
    const { signal } = new AbortController();
    const claim = await store.claim({ task: "writer", partition: "p" }, signal);
    try {
      await claim.save({ manifest: Buffer.from("4"), added: new Map([["n-4", Buffer.alloc(300 * 1024)]]), dropped: [] }, signal);
    } catch (error) {
      console.log(error.name, error.message);
    }`;
  const command = `ulimit -f 64; exec "$0" --input-type=module -e "$1"`;
  const child = spawn("bash", ["-c", command, process.execPath, program], { stdio: ["ignore", "pipe", "inherit"] });
  const closed = once(child, "close");
  let output = "";
  for await (const chunk of child.stdout.setEncoding("utf8")) output += String(chunk);
  await closed;
  assert.match(output, /^InfrastructureError checkpoints at \S+part-n-4: the file would be larger than the system lets this process write/);
  const { store } = await openStoreAt(t, { file: { path } });
  assert.deepEqual(texts(await store.claim(name, signal)), ["3", "2"]);
  assert.ok(!existsSync(join(folderOf(path), "part-n-4")));
});

test("a folder that may not be written is an infrastructure error that says what to do", async (t) => {
  if (process.geteuid?.() !== 0) return t.skip("needs root to become a user who may write");
  const path = await written(t);
  chmodSync(path, 0o755);
  const { store } = await openStoreAt(t, { file: { path } });
  await asNobody(async () => {
    await assert.rejects(store.claim(name, signal), (error) => {
      assert.ok(error instanceof InfrastructureError);
      assert.match(
        error.message,
        new RegExp(`^checkpoints at ${folderOf(path)}\\S*: permission denied: let the user that Millrace runs as`),
      );
      return true;
    });
  });
});

test("torn and unfinished files are never taken, and swept", async (t) => {
  const path = await written(t);
  const last = manifestsIn(path)[0] ?? "";
  writeFileSync(join(folderOf(path), "tmp-1-0123"), readFileSync(last).subarray(0, 20));
  truncateSync(last, 50);
  const { store, context } = await openStoreAt(t, { file: { path } });
  const claim = await store.claim(name, signal);
  assert.deepEqual(texts(claim), ["2"], "the one before is taken");
  assert.match(context.lines.join("\n"), /error a checkpoint file is damaged; the one before it is used/);
  assert.equal(textOf(await store.part(name, "n-2", signal)), "2222222222", "with the parts that it speaks of");
  await claim.sweep(new Set(["n-2"]), signal);
  assert.ok(!existsSync(join(folderOf(path), "tmp-1-0123")));
});

for (const place of ["checksum", "dropped", "manifest"] as const) {
  test(`a flipped byte in the ${place} of the last manifest is noticed`, async (t) => {
    const path = await written(t);
    const last = manifestsIn(path)[0] ?? "";
    const bytes = readFileSync(last);
    const at = { checksum: 25, dropped: bytes.indexOf("dropped"), manifest: bytes.length - 1 }[place];
    bytes[at] = (bytes[at] ?? 0) ^ 1;
    writeFileSync(last, bytes);
    const { store } = await openStoreAt(t, { file: { path } });
    assert.deepEqual(texts(await store.claim(name, signal)), ["2"]);
  });
}

test("when every manifest is damaged, nothing is begun anew behind the operator's back", async (t) => {
  const path = await written(t);
  for (const file of manifestsIn(path)) truncateSync(file, 10);
  const { store } = await openStoreAt(t, { file: { path } });
  await assert.rejects(store.claim(name, signal), (error) => {
    assert.ok(error instanceof DamagedStoreError);
    assert.match(error.message, /manifest-1-\S+: is damaged, and there is no earlier one. Put an exported one in its place/);
    return true;
  });
  const [listed] = await store.list("writer", signal);
  assert.deepEqual([listed?.name, listed?.manifests], [name, []], "it is listed all the same");
  assert.match(listed?.fault ?? "", /is damaged/);
  await store.remove(name, signal);
  assert.deepEqual(texts(await store.claim(name, signal)), []);
});

test("a checkpoint of a later version is refused, not passed over", async (t) => {
  const path = await written(t);
  const last = manifestsIn(path)[0] ?? "";
  writeFileSync(last, readFileSync(last, "latin1").replace("millrace-manifest 1 ", "millrace-manifest 2 "), "latin1");
  const { store } = await openStoreAt(t, { file: { path } });
  await assert.rejects(store.claim(name, signal), /a later version of Millrace wrote this checkpoint: run that version/);
});

test("a damaged part is not there, and the log names it", async (t) => {
  const path = await written(t);
  const file = join(folderOf(path), "part-n-3");
  truncateSync(file, readFileSync(file).length - 1);
  const { store, context } = await openStoreAt(t, { file: { path } });
  assert.equal(await store.part(name, "n-3", signal), undefined);
  assert.match(context.lines.join("\n"), new RegExp(`warn a part of a checkpoint is damaged .*${file}`));
});

test("what a former owner writes late is never taken", async (t) => {
  const path = await written(t);
  const late = manifestsIn(path)[0] ?? "";
  const { store } = await openStoreAt(t, { file: { path } });
  const owner = await store.claim(name, signal);
  // As it would be if the former owner had been held up between its last look and the renaming.
  writeFileSync(late.replace(/\d+$/, "9"), Buffer.concat(manifestFile({ manifest: Buffer.from("late"), dropped: [] })));
  assert.deepEqual(texts((await store.list("writer", signal))[0] ?? { manifests: [] }), ["3", "2"]);
  await owner.save({ ...checkpoint(4), manifest: Buffer.from("4'") }, signal);
  assert.deepEqual(texts(await store.claim(name, signal)), ["4'", "3"]);
  assert.ok(!existsSync(late.replace(/\d+$/, "9")));
});

test("a claim that was cut off before it wrote anything changes nothing", async (t) => {
  const path = await written(t);
  mkdirSync(folderOf(path), { recursive: true });
  writeFileSync(join(folderOf(path), "epoch-2"), "");
  const { store } = await openStoreAt(t, { file: { path } });
  const claim = await store.claim(name, signal);
  assert.deepEqual([claim.epoch, texts(claim)], [3, ["3", "2"]]);
});

test("what a former owner writes late is never taken either when its successor has saved nothing", async (t) => {
  const path = tempFolder(t);
  const { store } = await openStoreAt(t, { file: { path } });
  await store.claim(name, signal);
  const { token } = JSON.parse(readFileSync(join(folderOf(path), "epoch-1"), "utf8")) as { readonly token: string };
  await store.claim(name, signal);
  const late = join(folderOf(path), `manifest-1-${token}-1`);
  writeFileSync(late, Buffer.concat(manifestFile({ manifest: Buffer.from("late"), dropped: [] })));
  assert.deepEqual(texts(await store.claim(name, signal)), []);
});
