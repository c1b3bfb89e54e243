/**
 * Products: where they are, how one is imported, and how a task's plan is built with it. Only `findProducts` is for the
 * supervisor: the others run product code, which may throw, hang or end the process.
 */
import { existsSync } from "node:fs";
import { readdir, realpath } from "node:fs/promises";
import { basename, join, sep } from "node:path";
import { pathToFileURL } from "node:url";

import { z } from "zod";

import type { Logger, TaskIdentity } from "../contracts.ts";
import { ConfigError, messageOf, PlanError } from "../errors.ts";
import "../hooks.ts";
import type { Plan } from "../pipeline/plan.ts";
import type { Product } from "../product.ts";
import { redact } from "../secrets.ts";
import { faultOf } from "./product-faults.ts";
import { describeIssues } from "./schema-issues.ts";
import type { BrokenProduct, TaskDefinition } from "./task.ts";
import { PRODUCT_NAME } from "./task.ts";

/** A folder that looks like a product. Nothing of it was run. */
export interface FoundProduct {
  readonly name: string;
  /** Absolute, without links. */
  readonly folder: string;
  /** The file that it is imported from. */
  readonly file: string;
  /** The folder of products that it is in, as given. */
  readonly root: string;
}

/** What the product folders hold. */
export interface FoundProducts {
  readonly found: readonly FoundProduct[];
  readonly broken: readonly BrokenProduct[];
  /** Those of `roots` that could not be read: what is in them is not known. */
  readonly unread: readonly string[];
}

/**
 * Finds the products: each folder in one of `roots` that has an `index.ts` or `index.js`. Folders that begin with a dot
 * and `node_modules` are passed over. Of two products with one name the first counts.
 * @param roots absolute folders
 */
export async function findProducts(roots: readonly string[]): Promise<FoundProducts> {
  const found = new Map<string, FoundProduct>();
  const broken: BrokenProduct[] = [];
  const unread: string[] = [];
  for (const root of roots) {
    try {
      for (const candidate of await candidatesIn(root, broken)) {
        const first = found.get(candidate.name);
        if (first === undefined) found.set(candidate.name, candidate);
        else if (first.folder !== candidate.folder) {
          broken.push({ name: candidate.name, file: candidate.folder, reason: `${first.folder} already is the product "${first.name}"` });
        }
      }
    } catch (error) {
      unread.push(root);
      broken.push({ name: basename(root), file: root, reason: `the folder of products can't be read: ${messageOf(error)}` });
    }
  }
  return { found: [...found.values()], broken, unread };
}

/** @throws when `root` can't be read */
async function candidatesIn(root: string, broken: BrokenProduct[]): Promise<readonly FoundProduct[]> {
  const candidates: FoundProduct[] = [];
  const realRoot = await realpath(root);
  const names = (await readdir(realRoot)).filter((name) => !name.startsWith(".") && name !== "node_modules");
  for (const name of names.toSorted()) {
    const entry = join(realRoot, name);
    const file = indexOf(entry);
    if (file === undefined) continue;
    const folder = await realpath(entry);
    const reason = folder.startsWith(realRoot + sep) ? nameFault(name) : `it is a link that leads out of ${root}, to ${folder}`;
    if (reason === undefined) candidates.push({ name, folder, file: join(folder, basename(file)), root });
    else broken.push({ name, file: entry, reason });
  }
  return candidates;
}

function nameFault(name: string): string | undefined {
  if (PRODUCT_NAME.test(name)) return undefined;
  return "the folder's name is no name for a product: use small letters, digits and -, beginning with a letter or digit, at most 64";
}

/** The file that a product is imported from. */
function indexOf(folder: string): string | undefined {
  return ["index.ts", "index.js"].map((name) => join(folder, name)).find((file) => existsSync(file));
}

/**
 * Imports a product. Runs its code.
 * @param folder the product's folder, absolute
 * @throws {ConfigError} when it can't be imported or exports no product; names the file, and the line where it is known
 */
export async function loadProduct(folder: string): Promise<Product> {
  const file = indexOf(folder);
  if (file === undefined) throw fault(folder, "there is no index.ts or index.js in it");
  let door: unknown;
  try {
    door = await import(pathToFileURL(file).href);
  } catch (error) {
    const { where, what } = faultOf(error, file, folder);
    throw fault(where, what);
  }
  const exported: unknown = Reflect.get(door as object, "default");
  if (exported === undefined) throw fault(file, "it has no default export: export default defineProduct({ … })");
  return checkProduct(exported, basename(folder), file);
}

function checkProduct(exported: unknown, folderName: string, file: string): Product {
  const result = productShape.safeParse(exported);
  if (!result.success) throw fault(file, `the default export is no product: ${describeIssues(result.error.issues, "").join("; ")}`);
  const product = exported as Product;
  if (product.name !== folderName) {
    throw fault(file, `the product's name is "${product.name}" but its folder is "${folderName}"; they must be the same`);
  }
  return product;
}

const isFunction = (value: unknown) => typeof value === "function";
const productShape = z.looseObject({
  name: z.string(),
  description: z.string().optional(),
  config: z.custom((value) => isFunction(Reflect.get(Object(value), "safeParse")), "must be a zod schema"),
  pipeline: z.custom(isFunction, "must be a function that returns a plan"),
  tasks: z.custom((value) => value === undefined || isFunction(value), "must be a function, or left out").optional(),
});

function fault(where: string, what: string): ConfigError {
  return new ConfigError([{ where, what }]);
}

/** What a task's plan is built with. */
export interface BuildContext {
  readonly task: TaskIdentity;
  readonly logger: Logger;
  /** Aborts when the instance ends. */
  readonly signal: AbortSignal;
}

/**
 * Builds the plan of one instance of a task. Runs the product's code.
 * @throws {ConfigError} when the product's schema refuses the config: one fault for each issue, with its path
 * @throws {PlanError} when `pipeline` throws or returns no plan
 */
export function buildPlan(product: Product, task: TaskDefinition, context: BuildContext): Plan {
  const config = parseConfig(product, task);
  let plan: unknown;
  try {
    plan = product.pipeline({ config, task: context.task, logger: context.logger, signal: context.signal });
  } catch (error) {
    const { where, what } = faultOf(error, undefined, task.folder);
    const reason = error instanceof PlanError || error instanceof ConfigError ? messageOf(error) : `${what} (${where})`;
    throw new PlanError(redact(`the pipeline of product "${product.name}" failed to build: ${reason}`, task.secrets));
  }
  if (isPlan(plan)) return plan;
  throw new PlanError(`pipeline() of product "${product.name}" ${notPlan(plan)}`);
}

function parseConfig(product: Product, task: TaskDefinition): unknown {
  let issues: readonly string[];
  try {
    const result = product.config.safeParse(task.config ?? {});
    if (result.success) return result.data;
    issues = describeIssues(result.error.issues, "config", jsonSchema(product));
  } catch (error) {
    issues = [`config: the schema of product "${product.name}" failed on it: ${messageOf(error)}`];
  }
  throw new ConfigError(issues.map((what) => ({ where: task.where, what: redact(what, task.secrets) })));
}

/** The product's schema as JSON Schema; undefined when it has no such form. */
export function jsonSchema(product: Product): unknown {
  try {
    return z.toJSONSchema(product.config, { io: "input", unrepresentable: "any" });
  } catch {
    return undefined;
  }
}

function isPlan(value: unknown): value is Plan {
  if (typeof value !== "object" || value === null) return false;
  const { source, steps, sinks } = value as Partial<Plan>;
  return typeof source?.open === "function" && Array.isArray(steps) && Array.isArray(sinks) && sinks.length > 0;
}

function notPlan(value: unknown): string {
  if (value === undefined) return "returned nothing: return what .to(sink) gives";
  if (value instanceof Promise) return "returned a promise: it must build the plan at once, without async";
  return "returned no plan: end the pipeline with .to(sink) and return what that gives";
}
