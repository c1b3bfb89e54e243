import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, dirname, extname } from "node:path";
import { fileURLToPath } from "node:url";

import { within } from "../clock.ts";
import { ConfigError, messageOf, PlanError } from "../errors.ts";
import type { ModelIdentity } from "../model-stats.ts";
import type { Model } from "../model.ts";
import { holdModule } from "./held-modules.ts";

/** A model's module, imported. */
export interface ModelModule {
  readonly model: Model;
  readonly identity: ModelIdentity;
  /** To be called when it is unloaded: another may then be the same module. */
  readonly release: () => void;
}

/** A module as it was imported. */
interface ImportedModule {
  readonly url: string;
  /** SHA-256 of its file, in hex. */
  readonly hash: string;
  inUse: boolean;
}

/** By the URL of its file. Node keeps all that it has imported. */
const importedModules = new Map<string, ImportedModule[]>();

/**
 * Imports a model's file as it is now. What is in use already is imported once more, as a module of its own: a version that loads
 * beside one that serves must not share its variables. Its default export is what `defineModel` gives, or a function for `predict`.
 * @param url as `import.meta.resolve("./model.ts")` gives it
 * @param text what the file held when the version was loaded that this is to be; default: what it holds now
 * @throws {ConfigError} when there is no such file, it can't be imported, or exports no model
 */
export async function loadModule(url: string, text?: string): Promise<ModelModule> {
  const file = fileURLToPath(new URL(url));
  const isHeld = text !== undefined && text !== (await moduleText(url).catch(() => undefined));
  const content = text ?? (await moduleText(url));
  const hash = createHash("sha256").update(content).digest("hex");
  const imported = moduleFor((isHeld ? holdModule(url, content, hash.slice(0, 8)) : undefined) ?? url, hash);
  let exported: unknown;
  try {
    exported = ((await import(imported.url)) as { readonly default?: unknown }).default;
  } catch (error) {
    throw new ConfigError([{ where: file, what: `the model can't be imported: ${messageOf(error)}` }], { cause: error });
  }
  const model = modelOf(file, exported);
  const name = model.name ?? nameOf(file);
  const version = model.version ?? hash.slice(0, 8);
  for (const [field, value] of Object.entries({ name, version })) {
    if (isNameable(value)) continue;
    imported.inUse = false;
    const what = `the model's ${field} must be text of at least one character, without line breaks and other control characters`;
    throw new ConfigError([{ where: file, what }]);
  }
  return { model, identity: { name, version }, release: () => void (imported.inUse = false) };
}

/** What a model's file holds now. @throws {ConfigError} when it can't be read */
export async function moduleText(url: string): Promise<string> {
  const file = fileURLToPath(new URL(url));
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new ConfigError([{ where: file, what: `the model can't be read: ${messageOf(error)}` }]);
  }
}

/** Whether it can be a model's name or version: headers of results and labels of metrics carry them. */
export function isNameable(value: unknown): boolean {
  return typeof value === "string" && /^\P{Cc}+$/u.test(value);
}

/** So long a model's file may take to be imported where it is only looked at: less than the whole check of a task has. Milliseconds. */
const IMPORTING = 5000;

/** Looks whether a file is a model. Runs its code, but nothing of the model. @throws {ConfigError} when it is none */
export async function checkModule(url: string): Promise<void> {
  const loading = loadModule(url).then(({ release }) => release());
  if (await within(loading, IMPORTING)) return;
  loading.catch(() => undefined);
  const what = `the model is not imported after ${IMPORTING / 1000} s: what it waits for belongs into its load`;
  throw new ConfigError([{ where: fileURLToPath(new URL(url)), what }]);
}

/**
 * The path of a model's file.
 * @param place for errors
 * @throws {PlanError} when it is not the URL of a file
 */
export function modelFile(place: string, url: string): string {
  if (URL.canParse(url) && url.startsWith("file:")) return fileURLToPath(url);
  throw new PlanError(`${place}: give the URL of the model's file, as import.meta.resolve("./model.ts") does (got ${JSON.stringify(url)})`);
}

/** One that is not in use: the first of a file has its own URL, for breakpoints, and later ones a query behind it. */
function moduleFor(url: string, hash: string): ImportedModule {
  const known = importedModules.get(url) ?? [];
  const free = known.find((module) => !module.inUse && module.hash === hash);
  if (free !== undefined) {
    free.inUse = true;
    return free;
  }
  const own = new URL(url);
  if (known.length > 0) own.searchParams.set("import", String(known.length + 1));
  const imported = { url: known.length === 0 ? url : own.href, hash, inUse: true };
  importedModules.set(url, [...known, imported]);
  return imported;
}

function modelOf(file: string, exported: unknown): Model {
  if (typeof exported === "function" && Function.prototype.toString.call(exported).startsWith("class")) {
    throw new ConfigError([{ where: file, what: "its default export is a class: export a model, as with defineModel({ predict: … })" }]);
  }
  if (typeof exported === "function") return { predict: exported as Model["predict"] };
  const model = exported as Partial<Model> | undefined | null;
  if (typeof model === "object" && model !== null && typeof model.predict === "function") return model as Model;
  const found = exported === undefined ? "it has no default export" : "its default export has no predict";
  throw new ConfigError([{ where: file, what: `${found}: write export default defineModel({ predict: … })` }]);
}

function nameOf(file: string): string {
  const name = basename(file, extname(file));
  return name === "model" || name === "index" ? basename(dirname(file)) : name;
}
