/** What becomes of saved state between two runs, from the command line: changed products, damaged files, second supervisors, full disks. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { crc32 } from "node:zlib";

import { manifestFile, readManifestFile } from "../../src/checkpoints/file-format.ts";
import type { Running } from "../support/operated.ts";
import { Site } from "../support/operated.ts";
import { readingsIn, TALLY, talliesIn } from "./tally.ts";

const GENERATED = { generator: { rate: 300, keys: 5, step: 20 } };

const taskOf = (input: object, size = "10s") => ({
  product: "tally",
  config: { input, output: { file: { path: "out.ndjson" } }, size },
});

function siteOf(t: TestContext, input: object = GENERATED): Site {
  const settings = { workers: 1, restart: { min: "50ms" }, checkpoint: { interval: "100ms", store: { file: { path: "checkpoints" } } } };
  const site = new Site(t, {
    settings: { ...settings, log: { format: "json", level: "debug" } },
    tasks: { t: taskOf(input) },
    products: [],
  });
  site.write("products/tally/index.ts", TALLY);
  return site;
}

const saves = (running: Running): number => running.output.split("a checkpoint was saved").length - 1;

/** Runs until some checkpoints are saved, then drains. */
async function ranFor(site: Site): Promise<void> {
  const running = site.start();
  await running.until("checkpoints were saved", () => saves(running) >= 5);
  assert.equal((await running.stop()).code, 0);
}

/** Runs, and gives why the task failed for good. */
async function refusal(site: Site): Promise<string> {
  const running = site.start();
  const failed = await running.until("it failed", async () => {
    const task = await running.task("t");
    return task?.state === "failed" && task;
  });
  assert.equal((await running.stop()).code, 0);
  return failed.reason ?? failed.instances[0]?.reason ?? "";
}

/** Runs with --reset-state until checkpoints are saved again. */
async function runsAnew(site: Site): Promise<string> {
  const running = site.start({ flags: ["--reset-state"] });
  await running.until("checkpoints are saved again", () => saves(running) >= 3);
  assert.equal((await running.stop()).code, 0);
  return running.output;
}

/** The files of the manifests, newest first. */
function manifestsOf(site: Site): readonly string[] {
  const folder = join(site.folder, "checkpoints", "t", "generator");
  const numberOf = (file: string) => Number(/\d+$/.exec(file)?.[0]);
  const files = readdirSync(folder).filter((file) => file.startsWith("manifest-"));
  return files.sort((a, b) => numberOf(b) - numberOf(a)).map((file) => join(folder, file));
}

function flipLastByte(file: string): void {
  const bytes = readFileSync(file);
  bytes[bytes.length - 1]! ^= 1;
  writeFileSync(file, bytes);
}

test("a window of another size is refused by its step's name, and made anew with --reset-state", async (t) => {
  const site = siteOf(t);
  await ranFor(site);
  site.writeTask("t", taskOf(GENERATED, "5s"));
  const reason = await refusal(site);
  assert.match(reason, /checkpoint of generator: the saved state of the step "tallies" does not fit: it was .*10000.*, and is now .*5000/);
  assert.match(reason, /start it once with --reset-state .*, or undo the change/);
  assert.match(await runsAnew(site), /saved state is thrown away and made anew: .*step \\"tallies\\"/);
  await ranFor(site);
});

test("a damaged checkpoint: the one before is taken and an error logged; with both damaged it is refused, but for --reset-state", async (t) => {
  const site = siteOf(t);
  await ranFor(site);
  for (const damage of [flipLastByte, (file: string) => truncateSync(file, 40)]) {
    const [newest] = manifestsOf(site);
    damage(newest ?? assert.fail("no manifest"));
    const running = site.start();
    await running.until("it goes on", () => /going on from a checkpoint/.test(running.output));
    assert.match(running.output, /"level":"error".*a checkpoint file is damaged; the one before it is used/);
    await running.until("checkpoints are saved", () => saves(running) >= 5);
    assert.equal((await running.stop()).code, 0);
  }
  for (const file of manifestsOf(site)) flipLastByte(file);
  assert.match(await refusal(site), /manifest-\S+: is damaged, and there is no earlier one\. .*start once with --reset-state/);
  const { stdout } = await site.command(["checkpoints", "list"]);
  assert.match(stdout, /^t +generator +- .* damaged +\S+manifest-\S+: is damaged/m);
  await runsAnew(site);
  await ranFor(site);
});

test("a checkpoint of a newer version is refused, also with --reset-state, and told as such", async (t) => {
  const site = siteOf(t);
  await ranFor(site);
  for (const file of manifestsOf(site)) {
    const kept = readManifestFile(readFileSync(file), file) ?? assert.fail("damaged");
    const bytes = Buffer.from(kept.manifest);
    bytes.writeUInt8(2, 3);
    bytes.writeUInt32BE(crc32(bytes.subarray(8), 2), 4);
    writeFileSync(file, Buffer.concat(manifestFile({ ...kept, manifest: bytes })));
  }
  assert.match(await refusal(site), /checkpoint of generator: it has the format 2, and this Millrace reads the format 1: run the version/);
  const { stdout } = await site.command(["checkpoints", "list"]);
  assert.match(stdout, /^t +generator +- .* newer +it has the format 2/m);
  const reset = await site.command(["checkpoints", "reset", "--task", "t", "--all"]);
  assert.match(reset.stdout, /^t generator: removed, since nothing of it could be read \(it has the format 2/);
  await ranFor(site);
});

test("a second supervisor on the folder is refused while the first runs, and works after that was killed", async (t) => {
  const site = siteOf(t);
  const first = site.start();
  await first.until("checkpoints were saved", () => saves(first) >= 2);
  const second = site.start();
  assert.equal(await second.exited, 78, second.output);
  assert.match(second.output, new RegExp(`is used by the supervisor with process id ${first.pid}: a folder of checkpoints serves one`));
  first.signal("SIGKILL");
  assert.equal(await first.exited, "SIGKILL");
  const third = site.start();
  await third.until("it goes on", () => /going on from a checkpoint/.test(third.output) && saves(third) >= 2);
  assert.equal((await third.stop()).code, 0);
});

test("a full disk makes the task wait and say so; it goes on when there is room", async (t) => {
  const site = siteOf(t);
  const disk = join(site.folder, "checkpoints");
  mkdirSync(disk);
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=1m", "tmpfs", disk], { stdio: "ignore" });
  } catch {
    return t.skip("no disk can be mounted here");
  }
  using _mounted = { [Symbol.dispose]: () => void execFileSync("umount", ["-l", disk]) };
  const running = site.start();
  await running.until("checkpoints were saved", () => saves(running) >= 2);
  writeFileSync(join(disk, "=-filling"), "");
  execFileSync("sh", ["-c", `cat /dev/zero > '${join(disk, "=-filling")}' 2>/dev/null || true`]);
  const reason = await running.until("it says why it waits", async () => {
    const task = await running.task("t");
    return (task?.reason ?? task?.instances[0]?.reason ?? "").match(/.*the disk is full: free some space.*/)?.[0];
  });
  assert.match(reason, /generator/);
  truncateSync(join(disk, "=-filling"), 0);
  const before = saves(running);
  await running.until("it goes on", async () => saves(running) > before + 2 && (await running.task("t"))?.state === "running");
  await running.until("nothing is told any more", async () => (await running.task("t"))?.reason === undefined);
  assert.equal((await running.stop()).code, 0);
});

/** Readings of 5 keys, 20 ms apart, read ten times as fast. */
const lines = (count: number) =>
  Array.from({ length: count }, (_, index) => `${JSON.stringify({ key: `k${index % 5}`, at: index * 20 })}\n`).join("");
const PACED = { file: { path: "in.ndjson", pace: { by: "at", factor: 10 } } };

test("a file goes on from its checkpoint after a restart and gives nothing twice; one that was replaced is refused", async (t) => {
  const site = siteOf(t, PACED);
  site.write("in.ndjson", lines(3000));
  await ranFor(site);
  const again = site.start({ flags: ["--until-done"] });
  await again.until("it goes on", () => /"position":[1-9]\d*,.*going on from a checkpoint/.test(again.output));
  assert.equal(await again.exited, 0, again.output);
  const { windows, repeats } = talliesIn(site.folder);
  assert.deepEqual([readingsIn(windows), repeats], [3000, 0]);
  await ranFor(site);
  site.write("in.ndjson", lines(3001));
  assert.match(await refusal(site), /the input in\.ndjson is not the one that was read: it was made anew or replaced since: start it once/);
});
