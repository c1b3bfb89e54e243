/** The setting `tasks`: where tasks are kept. A list, each item one kind of store. */
import { isAbsolute, resolve } from "node:path";

import { DURATION_FORM, parseDuration } from "../duration.ts";
import { didYouMean } from "../near-miss.ts";
import type { Problem } from "./formats.ts";
import type { TaskStoreSettings } from "./settings.ts";
import { shown } from "./shown.ts";

/** What the three kinds look like, for messages. */
const FORM = "{files: FOLDER}, {redis: {url, key, every}} or {sql: {url, query, every}}";

/** A key of a `redis` or `sql` store. */
interface Part {
  readonly required: boolean;
  readonly form: string;
  isRight(value: unknown): boolean;
}

const every: Part = {
  required: false,
  form: `a duration of at least 100 ms (${DURATION_FORM})`,
  isRight: (value) => (parseDuration(value) ?? 0) >= 100,
};

const REDIS: Readonly<Record<string, Part>> = {
  url: { required: false, form: "a URL that begins with redis:// or rediss://", isRight: (value) => hasScheme(value, /^rediss?:\/\//i) },
  key: { required: false, form: "the name of a Redis hash", isRight: isText },
  every,
};

const SQL: Readonly<Record<string, Part>> = {
  url: {
    required: true,
    form: "a URL that begins with postgres:// or postgresql://, or sqlite:PATH",
    isRight: (value) => hasScheme(value, /^postgres(?:ql)?:\/\//i) || (typeof value === "string" && /^sqlite:./.test(value)),
  },
  query: { required: true, form: "an SQL query whose rows are tasks", isRight: isText },
  every,
};

/** A JSON list or object, or folders with commas between them. */
export function storesFromText(text: string): unknown {
  if (/^\s*[[{]/.test(text)) {
    try {
      const value = JSON.parse(text) as unknown;
      return Array.isArray(value) ? value : [value];
    } catch {
      return text;
    }
  }
  return text
    .split(",")
    .map((folder) => folder.trim())
    .filter((folder) => folder !== "");
}

/** What is wrong with a value of the setting. A text in the list stands for `{files: TEXT}`. */
export function storeProblems(value: unknown): readonly Problem[] {
  if (!Array.isArray(value)) return [{ within: "", what: `must be a list of ${FORM}, not ${shown(value)}` }];
  return value.flatMap((store, index) => problemsOf(store, `[${index}]`));
}

function problemsOf(store: unknown, within: string): readonly Problem[] {
  if (isText(store)) return [];
  if (!isMap(store)) return [{ within, what: `must be ${FORM}, not ${shown(store)}` }];
  const kinds = Object.keys(store);
  const unknown = kinds.filter((kind) => !["files", "redis", "sql"].includes(kind));
  if (unknown.length > 0) {
    return unknown.map((kind) => ({
      within: `${within}.${kind}`,
      what: `is no kind of task store.${didYouMean(kind, ["files", "redis", "sql"])} A store is ${FORM}`,
    }));
  }
  if (kinds.length !== 1)
    return [{ within, what: `must have exactly one of files, redis, sql; several stores are several items of the list` }];
  if ("redis" in store) return partProblems(store["redis"], REDIS, `${within}.redis`);
  if ("sql" in store) return partProblems(store["sql"], SQL, `${within}.sql`);
  return isText(store["files"]) ? [] : [{ within: `${within}.files`, what: `must be the path of a folder, not ${shown(store["files"])}` }];
}

function partProblems(value: unknown, parts: Readonly<Record<string, Part>>, within: string): readonly Problem[] {
  if (!isMap(value)) return [{ within, what: `must be a map with ${Object.keys(parts).join(", ")}, not ${shown(value)}` }];
  const problems: Problem[] = [];
  for (const key of Object.keys(value)) {
    if (!Object.hasOwn(parts, key)) {
      problems.push({ within: `${within}.${key}`, what: `is unknown.${didYouMean(key, Object.keys(parts))}` });
    }
  }
  for (const [key, part] of Object.entries(parts)) {
    const given = Object.hasOwn(value, key) ? value[key] : undefined;
    if (given === undefined && part.required) problems.push({ within, what: `needs ${key}: ${part.form}` });
    if (given !== undefined && !part.isRight(given)) {
      problems.push({ within: `${within}.${key}`, what: `must be ${part.form}, not ${shown(given)}` });
    }
  }
  return problems;
}

/**
 * The stores of a value that has no problems.
 * @param folder where relative paths count from
 * @param redisUrl for a Redis store without a URL of its own
 */
export function taskStores(value: unknown, folder: string, redisUrl: string): readonly TaskStoreSettings[] {
  return (value as readonly StoreInput[]).map((store) => {
    if (typeof store === "string") return { files: resolve(folder, store) };
    if ("redis" in store) {
      const { url = redisUrl, key = "millrace:tasks", every = "5s" } = store.redis;
      return { redis: { url, key, every: parseDuration(every) ?? 0 } };
    }
    if ("sql" in store) {
      const { url, query, every = "10s" } = store.sql;
      return { sql: { url: absoluteSqlUrl(url, folder), query, every: parseDuration(every) ?? 0 } };
    }
    return { files: resolve(folder, store.files) };
  });
}

type StoreInput =
  | string
  | { readonly files: string }
  | { readonly redis: { readonly url?: string; readonly key?: string; readonly every?: string | number } }
  | { readonly sql: { readonly url: string; readonly query: string; readonly every?: string | number } };

function absoluteSqlUrl(url: string, folder: string): string {
  if (!url.startsWith("sqlite:")) return url;
  const path = url.slice("sqlite:".length);
  return isAbsolute(path) ? url : `sqlite:${resolve(folder, path)}`;
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.trim() !== "";
}

function hasScheme(value: unknown, scheme: RegExp): boolean {
  return typeof value === "string" && scheme.test(value) && URL.canParse(value);
}
