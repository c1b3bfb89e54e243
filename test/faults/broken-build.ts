/** Builds of Millrace that are broken on purpose, to see whether the checker finds it. */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { type Owner, tempFolder } from "../support/temp-folder.ts";

const ROOT = fileURLToPath(new URL("../../", import.meta.url));

/** A change of one file: `from` must stand there exactly once. */
export interface Breakage {
  /** Below src/. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

/** What can be broken, by a name for people. */
export const BREAKAGES = {
  "a window step gives positions that it still needs": {
    file: "pipeline/windows/pane.ts",
    from: "return this.#holding.peek()?.offset;",
    to: "return undefined;",
  },
  "a position is committed before its batch is written": {
    file: "pipeline/partition-run.ts",
    from: "if (batch.events.length > 0) return writeAll(sinks, batch, run, desk);",
    to: "if (batch.events.length > 0) {\nvoid partition.commit(batch.position).catch(() => undefined);\nreturn writeAll(sinks, batch, run, desk);\n}",
  },
  "one of 1,000 events is dropped": {
    file: "pipeline/partition-run.ts",
    from: "yield batch;\n  }\n}\n\nasync function* oneByOne",
    to: "yield { ...batch, events: batch.events.filter(({ offset }) => offset % 1000 !== 999) };\n  }\n}\n\nasync function* oneByOne",
  },
  "the error of a sink that is away is swallowed": {
    file: "sinks/outage.ts",
    from: "this.#began(messageOf(error));",
    to: "return undefined as R;",
  },
  "a save of a former owner of a checkpoint is taken": {
    file: "checkpoints/redis-scripts.ts",
    from: 'if redis.call("HGET", KEYS[1], "owner") ~= ARGV[1] then return "lost" end`;',
    to: "`;",
  },
  "the watermark is not restored from a checkpoint": {
    file: "pipeline/state/checkpoints.ts",
    from: "(stateful ? kept?.get(name) : from?.steps.get(name));",
    to: "(stateful ? kept?.get(name) : undefined);",
  },
  "open windows are not restored from a checkpoint": {
    file: "pipeline/windows/window-step.ts",
    from: "await inSlices(items, (pane) => {",
    to: "await inSlices(items.slice(0, 0), (pane) => {",
  },
  "a position is committed before its checkpoint is saved": {
    file: "pipeline/state/checkpoints.ts",
    from: "await patience.until((signal) => claim.save(bytes, signal));",
    to: "await partition.commit(position);\n    await patience.until((signal) => claim.save(bytes, signal));",
  },
  "messages are acknowledged when they are received": {
    file: "nats/shared-partition.ts",
    from: "this.#held.add(delivery, this.#position);",
    to: "this.#acks.done([delivery]);",
  },
} satisfies Readonly<Record<string, Breakage>>;

/**
 * Copies the sources, makes the change in the copy, and gives its main file. Gone when the owner ends.
 * @throws Error when what is to be replaced is not there exactly once: the source has changed, so the breakage must be adapted
 */
export function brokenBuild(owner: Owner, changes: readonly Breakage[]): string {
  const folder = tempFolder(owner);
  cpSync(join(ROOT, "src"), join(folder, "src"), { recursive: true });
  cpSync(join(ROOT, "package.json"), join(folder, "package.json"));
  symlinkSync(join(ROOT, "node_modules"), join(folder, "node_modules"));
  for (const { file, from, to } of changes) {
    const path = join(folder, "src", file);
    const text = readFileSync(path, "utf8");
    const places = text.split(from).length - 1;
    if (places !== 1) throw new Error(`"${from}" stands ${places} times in src/${file}, not once: adapt this breakage to the source`);
    writeFileSync(
      path,
      text.replace(from, () => to),
    );
  }
  return join(folder, "src", "main.ts");
}
