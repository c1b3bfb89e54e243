/** `--task`: a task that is in no store. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

import { parseDocument } from "yaml";

import type { Settings } from "../config/settings.ts";
import { ConfigError, messageOf, UsageError } from "../errors.ts";
import { didYouMean } from "../near-miss.ts";
import { resolveReferences } from "../secrets.ts";
import { checkShape, isInvalid } from "../tasks/check.ts";
import { findProducts } from "../tasks/products.ts";
import type { TaskDefinition } from "../tasks/task.ts";

/**
 * Reads the task.
 * @param flag the task as JSON (or YAML), or `@FILE` with a file that holds it
 * @throws {UsageError} when it is no text of a task
 * @throws {ConfigError} when it is a task, and a wrong one
 */
export async function taskFromFlag(flag: string, settings: Settings, cwd: string): Promise<TaskDefinition> {
  const file = flag.startsWith("@") ? resolve(cwd, flag.slice(1)) : undefined;
  const where = file ?? "--task";
  const { value, secrets, faults } = resolveReferences(parse(file === undefined ? flag : read(file), where), settings.directory);
  const problems = faults.map(({ path, what }) => `${path.join(".")}: ${what}`);
  const task = checkShape({ where, origin: where, value, secrets, faults: problems });
  if (isInvalid(task)) throw new ConfigError([{ where, what: task.reason }]);
  const { found, broken } = await findProducts(settings.products);
  const product = found.find(({ name }) => name === task.product);
  if (product !== undefined)
    return { ...task, folder: product.folder, code: "", warnings: [], keepsCheckpoints: false, statefulSteps: [], modelFiles: [] };
  const known = found.map(({ name }) => name);
  const looked = broken.map((fault) => `; ${fault.file}: ${fault.reason}`).join("");
  throw new ConfigError([
    { where, what: `there is no product "${task.product}" in ${settings.products.join(", ")}.${didYouMean(task.product, known)}${looked}` },
  ]);
}

function read(file: string): string {
  try {
    return readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError(`the task can't be read: ${messageOf(error)}`, { cause: error });
  }
}

/** YAML holds JSON. */
function parse(text: string, where: string): unknown {
  const document = parseDocument(text, { prettyErrors: true });
  const [first] = document.errors;
  if (first !== undefined) throw new UsageError(`${where} is neither JSON nor YAML: ${first.message.split("\n", 1)[0]}`);
  return document.toJS();
}
