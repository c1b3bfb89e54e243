/** Builds of the engine, and of the world around it, that are broken on purpose, to see whether the simulation finds it. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { type Owner, tempFolder } from "../support/temp-folder.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** A change of one file: `from` must stand there exactly once. */
export interface Breakage {
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

const CHECKPOINTS = "src/pipeline/state/checkpoints.ts";

/** What can be broken, by a name for people. */
export const BREAKAGES: Readonly<Record<string, readonly Breakage[]>> = {
  "a position is committed before its batch is written": [
    {
      file: "src/pipeline/partition-run.ts",
      from: "return writeAll(sinks, batch, run, desk);",
      to: "void partition.commit(batch.position).catch(() => undefined);\nreturn writeAll(sinks, batch, run, desk);",
    },
  ],
  "events are acknowledged when they are received": [
    {
      file: "src/pipeline/partition-run.ts",
      from: "const read = partition.read(checkpoints?.start, desk.ofSource);",
      to: `const read = (async function* () {
        for await (const batch of partition.read(checkpoints?.start, desk.ofSource)) {
          await partition.commit(batch.position);
          yield batch;
        }
      })();`,
    },
  ],
  "the checkpoint store lets former owners save": [
    {
      file: "test/simulation/store.ts",
      from: "if (fenced()) throw",
      to: "if (fenced() && epoch < 0) throw",
    },
  ],
  "the watermark is not restored": [
    {
      file: "src/pipeline/time-by.ts",
      from: 'if (typeof run.memory?.restored === "number") this.watermark = run.memory.restored;',
      to: "",
    },
  ],
  "open windows are not restored": [
    {
      file: "src/pipeline/windows/window-step.ts",
      from: "await inSlices(items, (pane) => {",
      to: "await inSlices(items.slice(items.length), (pane) => {",
    },
  ],
  "open batches are not restored": [
    {
      file: "src/pipeline/batch-step.ts",
      from: "for (const group of memory.items) {",
      to: "for (const group of memory.items.slice(memory.items.length)) {",
    },
  ],
  "the position is committed before the checkpoint is saved": [
    {
      file: "src/pipeline/state/checkpoints.ts",
      from: "await patience.until((signal) => claim.save(bytes, signal));",
      to: "await partition.commit(position);\nawait patience.until((signal) => claim.save(bytes, signal));",
    },
  ],
  "a barrier is saved before what came before it is written": [
    {
      file: "src/pipeline/partition-run.ts",
      from: "if (batch.events.length > 0) return writeAll(sinks, batch, run, desk);",
      to: "if (batch.barrier instanceof StateBarrier) checkpoints?.passed(batch.barrier, batch.position);\nif (batch.events.length > 0) return writeAll(sinks, batch, run, desk);",
    },
    {
      file: "src/pipeline/partition-run.ts",
      from: "if (barrier instanceof StateBarrier) checkpoints.passed(barrier, position);",
      to: "void [StateBarrier, checkpoints, barrier, position];",
    },
  ],
  "dead letters are not waited for": [
    {
      file: "src/pipeline/failure-desk.ts",
      from: "if (letters.length === 0) return this.#writing;",
      to: "if (letters.length === 0) return undefined;",
    },
    { file: "src/pipeline/failure-desk.ts", from: "return writing;", to: "return undefined;" },
  ],
  "a skipped event goes to the dead letters as well": [
    {
      file: "src/pipeline/failure-desk.ts",
      from: 'if (said === "skip") counters.skipped += 1;',
      to: 'if (said === "skip") { counters.skipped += 1; if (plan.deadLetter !== undefined) this.#keep(failure); }',
    },
  ],
  "one of 100 events is dropped": [
    {
      file: "src/pipeline/partition-run.ts",
      from: "yield batch;\n  }\n}\n\nasync function* oneByOne",
      to: "yield { ...batch, events: batch.events.filter(({ offset }) => offset % 100 !== 9) };\n  }\n}\n\nasync function* oneByOne",
    },
  ],
  "a clock that was set back stops the checkpoints": [
    { file: CHECKPOINTS, from: "NEGATIVE_INFINITY : parts.clock.elapsed();", to: "NEGATIVE_INFINITY : parts.clock.now();" },
    { file: CHECKPOINTS, from: "- this.#parts.clock.elapsed() : undefined;", to: "- this.#parts.clock.now() : undefined;" },
    { file: CHECKPOINTS, from: "= this.#parts.clock.elapsed() + Math", to: "= this.#parts.clock.now() + Math" },
    { file: CHECKPOINTS, from: "this.#since = this.#parts.clock.elapsed();", to: "this.#since = this.#parts.clock.now();" },
  ],
  "what is put back behind a timeBy has the watermark of its batch": [
    { file: "src/pipeline/handlers.ts", from: "for (const queue of queues) queue.stamp(batch);", to: "void queues;" },
  ],
  "a partition whose claims crossed is left unread": [
    {
      file: "src/pipeline/state/patience.ts",
      from: "if (error instanceof OwnershipLostError) {",
      to: "if (error instanceof OwnershipLostError) throw error;\nif (error instanceof OwnershipLostError) {",
    },
  ],
  "results of a redelivered record get ids of their own": [
    { file: "test/simulation/queue-broker.ts", from: "times > 1 ? { ...origin } : origin", to: "times > 1 ? origin : origin" },
  ],
  "an instance is placed again before it has stopped": [
    {
      file: "src/supervisor/roster.ts",
      from: "instance.reason ??= why;",
      to: "this.detach(instance, undefined);\nthis.settle(instance, why);",
    },
  ],
};

/** Seeds in a row. */
export interface Seeds {
  readonly first: number;
  readonly count: number;
}

/** Where to look for those that few seeds find. Search again where the simulation itself was changed. */
export const FOUND_BY: Readonly<Record<string, Seeds>> = {
  "what is put back behind a timeBy has the watermark of its batch": { first: 237, count: 1 },
  "a partition whose claims crossed is left unread": { first: 872, count: 1 },
  "results of a redelivered record get ids of their own": { first: 2370, count: 1 },
};

/** What the simulation of a broken build said. */
export interface Found {
  readonly code: number | null;
  readonly output: string;
}

/**
 * Copies the engine and the simulation, makes the changes in the copy, and simulates there until the first seed that breaks a promise.
 * @throws Error when what is to be replaced is not there exactly once: the source has changed, so the breakage must be adapted
 */
export async function simulateBroken(owner: Owner, changes: readonly Breakage[], seeds: Seeds): Promise<Found> {
  const folder = tempFolder(owner);
  for (const part of ["src", "test/simulation", "test/supervisor", "package.json"])
    cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  for (const { file, from, to } of changes) {
    const path = join(folder, file);
    const text = readFileSync(path, "utf8");
    const places = text.split(from).length - 1;
    if (places !== 1) throw new Error(`"${from}" stands ${places} times in ${file}, not once: adapt this breakage to the source`);
    writeFileSync(
      path,
      text.replace(from, () => to),
    );
  }
  const args = [
    join(folder, "test/simulation/main.ts"),
    "--seed",
    String(seeds.first),
    "--count",
    String(seeds.count),
    "--jobs",
    "1",
    "--failures",
    "1",
  ];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (output += text));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, output };
}
