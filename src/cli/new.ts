import { existsSync, readFileSync } from "node:fs";
import { mkdir, writeFile } from "node:fs/promises";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

import { InfrastructureError, messageOf, UsageError } from "../errors.ts";
import { PRODUCT_NAME } from "../tasks/task.ts";
import { EXIT } from "./exit-codes.ts";
import { productFiles } from "./product-files.ts";
import { type SettingsFlags, settingsOf } from "./settings-flags.ts";
import type { Surroundings } from "./surroundings.ts";

/** `millrace new`: makes a product in the first folder of products. */
export async function newProduct(name: string, flags: SettingsFlags, surroundings: Surroundings): Promise<number> {
  if (!PRODUCT_NAME.test(name)) {
    const better = asName(name);
    const hint = better === undefined ? "" : ` For instance: ${better}`;
    throw new UsageError(
      `"${name}" is no name for a product: use small letters, digits and -, beginning with a letter or digit, at most 64.${hint}`,
    );
  }
  const { settings } = settingsOf(flags, surroundings);
  const folder = join(settings.products[0] ?? surroundings.cwd, name);
  await makeFolder(folder);
  const shown = relative(surroundings.cwd, folder) || ".";
  const path = relative(settings.directory, folder).replaceAll("\\", "/");
  for (const { file, text } of productFiles(name, path)) await writeFile(join(folder, file), text, { flag: "wx" });
  if (!isModule(folder)) await writeFile(join(folder, "package.json"), `${JSON.stringify({ private: true, type: "module" })}\n`);
  surroundings.out(
    [
      `Made ${shown}: the pipeline in index.ts, its test in index.test.ts, a task in task.example.yaml with input.example.ndjson.`,
      "",
      "Test it:",
      `  ${node()} ${testFlags(surroundings.cwd)}--test ${join(shown, "index.test.ts")}`,
      "Run it on the example, with breakpoints if you like:",
      `  ${program(surroundings.cwd)} debug --task @${join(shown, "task.example.yaml")} --input ${join(shown, "input.example.ndjson")} --output -`,
      "Let it run as a task: copy task.example.yaml into a task store, then",
      `  ${program(surroundings.cwd)} validate`,
      "",
    ].join("\n"),
  );
  return EXIT.done;
}

/** Whether the nearest package.json makes modules of the files, as their test needs it under plain Node; `npm init` says "commonjs". */
function isModule(folder: string): boolean {
  const file = join(folder, "package.json");
  if (existsSync(file)) return typeIn(file) === "module";
  return dirname(folder) !== folder && isModule(dirname(folder));
}

/** What a package.json says; undefined when it can't be read. */
function typeIn(file: string): unknown {
  try {
    return Reflect.get(Object(JSON.parse(readFileSync(file, "utf8"))), "type");
  } catch {
    return undefined;
  }
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(join(folder, ".."), { recursive: true });
    await mkdir(folder);
  } catch (error) {
    if (existsSync(folder)) throw new UsageError(`${folder} exists already; nothing was changed`);
    throw new InfrastructureError(`${folder} can't be made: ${messageOf(error)}`, { cause: error });
  }
}

/** A valid name that is near to a text. */
function asName(text: string): string | undefined {
  const name = text
    .replaceAll(/([a-z0-9])([A-Z])/g, "$1-$2")
    .toLowerCase()
    .replaceAll(/[^a-z0-9]+/g, "-")
    .replaceAll(/^-+|-+$/g, "")
    .slice(0, 64);
  return PRODUCT_NAME.test(name) ? name : undefined;
}

const HERE = import.meta.url;

/** Run from its sources, Millrace must be told to Node by a flag; installed, `node_modules` does it. */
function testFlags(cwd: string): string {
  return HERE.endsWith(".ts") ? `--import ./${relative(cwd, fileURLToPath(new URL("../hooks.ts", HERE)))} ` : "";
}

/** How this Node is started: the machine may have an older one besides. */
function node(): string {
  return process.execPath.includes("node_modules") ? "npx node" : "node";
}

function program(cwd: string): string {
  return HERE.endsWith(".ts") ? `${node()} ${relative(cwd, fileURLToPath(new URL("../main.ts", HERE)))}` : "npx millrace";
}
