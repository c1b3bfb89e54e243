import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { basename, dirname, extname } from "node:path";
import { fileURLToPath } from "node:url";

import { ConfigError, messageOf } from "../errors.ts";
import type { ModelIdentity } from "../model-stats.ts";
import type { Model } from "../model.ts";

/** A model's module, imported. */
export interface ModelModule {
  readonly model: Model;
  readonly identity: ModelIdentity;
}

/**
 * Imports a model's file: its default export is what `defineModel` gives, or a function for `predict`.
 * @param url as `import.meta.resolve("./model.ts")` gives it
 * @throws {ConfigError} when there is no such file, it can't be imported, or exports no model
 */
export async function loadModule(url: string): Promise<ModelModule> {
  const file = fileURLToPath(new URL(url));
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw new ConfigError([{ where: file, what: `the model can't be read: ${messageOf(error)}` }]);
  }
  let imported: { readonly default?: unknown };
  try {
    imported = (await import(url)) as typeof imported;
  } catch (error) {
    throw new ConfigError([{ where: file, what: `the model can't be imported: ${messageOf(error)}` }], { cause: error });
  }
  const model = modelOf(file, imported.default);
  const name = model.name ?? nameOf(file);
  const version = model.version ?? createHash("sha256").update(bytes).digest("hex").slice(0, 8);
  return { model, identity: { name, version } };
}

function modelOf(file: string, exported: unknown): Model {
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
