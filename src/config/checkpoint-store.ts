/** The setting `checkpoint.store`: where checkpoints are kept, one kind of store. */
import { resolve } from "node:path";

import type { CheckpointStoreSettings } from "../checkpoint-settings.ts";
import { didYouMean } from "../near-miss.ts";
import type { Problem } from "./formats.ts";
import { shown } from "./shown.ts";

/** What the three kinds look like, for messages. */
const FORM = "{redis: {url}}, {natsKv: {bucket}} or {file: {path}}";

/** What each kind may be told. */
const KINDS: Readonly<Record<string, Key>> = {
  redis: { name: "url", required: false, form: "a URL that begins with redis:// or rediss://", isRight: isRedisUrl },
  natsKv: {
    name: "bucket",
    required: true,
    form: "a name of letters, digits, _ and -",
    isRight: (value) => isText(value, /^[\w-]{1,200}$/),
  },
  file: { name: "path", required: true, form: "the path of a folder", isRight: (value) => isText(value, /\S/) },
};

interface Key {
  readonly name: string;
  readonly required: boolean;
  readonly form: string;
  isRight(value: unknown): boolean;
}

/** A JSON object; any other text is the path of a folder. */
export function checkpointStoreFromText(text: string): unknown {
  if (!text.trimStart().startsWith("{")) return { file: { path: text } };
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

/** What is wrong with a value of the setting. */
export function checkpointStoreProblems(value: unknown): readonly Problem[] {
  if (!isMap(value)) return [{ within: "", what: `must be ${FORM}, not ${shown(value)}` }];
  const names = Object.keys(value);
  const unknown = names.filter((kind) => !Object.hasOwn(KINDS, kind));
  if (unknown.length > 0) {
    return unknown.map((kind) => ({
      within: `.${kind}`,
      what: `is no kind of checkpoint store.${didYouMean(kind, Object.keys(KINDS))} A store is ${FORM}`,
    }));
  }
  const [kind = "", ...others] = names;
  const key = KINDS[kind];
  if (key === undefined || others.length > 0) return [{ within: "", what: "must have exactly one of redis, natsKv, file" }];
  return keyProblems(value[kind], key, `.${kind}`);
}

function keyProblems(value: unknown, key: Key, within: string): readonly Problem[] {
  if (!isMap(value)) return [{ within, what: `must be a map with ${key.name}, not ${shown(value)}` }];
  const unknown = Object.keys(value).filter((name) => name !== key.name);
  const problems: Problem[] = unknown.map((name) => ({ within: `${within}.${name}`, what: `is unknown.${didYouMean(name, [key.name])}` }));
  const given = Object.hasOwn(value, key.name) ? value[key.name] : undefined;
  if (given === undefined && key.required) problems.push({ within, what: `needs ${key.name}: ${key.form}` });
  if (given !== undefined && !key.isRight(given)) {
    problems.push({ within: `${within}.${key.name}`, what: `must be ${key.form}, not ${shown(given)}` });
  }
  return problems;
}

/**
 * The store of a value that has no problems.
 * @param folder where a relative path counts from
 * @param redisUrl for a Redis store without a URL of its own
 */
export function checkpointStore(value: unknown, folder: string, redisUrl: string): CheckpointStoreSettings {
  const store = value as StoreInput;
  if ("redis" in store) return { redis: { url: store.redis.url ?? redisUrl } };
  if ("natsKv" in store) return { natsKv: { bucket: store.natsKv.bucket } };
  return { file: { path: resolve(folder, store.file.path) } };
}

type StoreInput =
  | { readonly redis: { readonly url?: string } }
  | { readonly natsKv: { readonly bucket: string } }
  | { readonly file: { readonly path: string } };

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown, form: RegExp): boolean {
  return typeof value === "string" && form.test(value);
}

function isRedisUrl(value: unknown): boolean {
  return typeof value === "string" && /^rediss?:\/\/\S+$/i.test(value) && URL.canParse(value);
}
