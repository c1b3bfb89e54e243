/**
 * Secrets in what users write: `${env:NAME}` and `${file:PATH}` are replaced when a settings or task file is read, and
 * what they stood for is never shown again.
 */
import { readFileSync, statSync } from "node:fs";
import { resolve as resolvePath } from "node:path";

import { messageOf } from "./errors.ts";

/** What stands in the place of a secret. */
export const SECRET = "[secret]";

/** What `resolveReferences` made of a value. */
export interface Resolved {
  /** The same shape with the references replaced. */
  readonly value: unknown;
  /** What the references stood for, for `redact`. */
  readonly secrets: readonly string[];
  /** What could not be resolved, by its path within the value. */
  readonly faults: readonly ReferenceFault[];
}

export interface ReferenceFault {
  /** Keys and indexes down to the text. */
  readonly path: readonly (string | number)[];
  readonly what: string;
}

/** Whether a text holds a reference. */
export function hasReference(text: string): boolean {
  return text.includes("${env:") || text.includes("${file:");
}

/**
 * Replaces every `${env:NAME}` and `${file:PATH}` in the texts of a value, at any depth; keys stay as they are. A file's
 * last line end is left out. The result is always text: `${env:PORT}` is "9092", not 9092.
 * @param folder where relative paths count from
 */
export function resolveReferences(value: unknown, folder: string): Resolved {
  const secrets = new Set<string>();
  const faults: ReferenceFault[] = [];
  const replace = (text: string, path: readonly (string | number)[]): string =>
    text.replaceAll(/\$\{(env|file):([^}]*)\}/g, (reference, kind: string, name: string) => {
      try {
        const secret = kind === "env" ? fromEnvironment(name) : fromFile(name, folder);
        if (secret !== "") secrets.add(secret);
        return secret;
      } catch (error) {
        faults.push({ path, what: `${reference}: ${messageOf(error)}` });
        return reference;
      }
    });
  const resolved = mapTexts(value, [], replace);
  return { value: resolved, secrets: [...secrets], faults };
}

/** The same value with every text in it replaced. Objects come back without a way to change their prototype. */
function mapTexts(
  value: unknown,
  path: readonly (string | number)[],
  replace: (text: string, path: readonly (string | number)[]) => string,
): unknown {
  if (typeof value === "string") return replace(value, path);
  if (Array.isArray(value)) return value.map((item, index) => mapTexts(item, [...path, index], replace));
  if (!isPlainObject(value)) return value;
  const mapped: Record<string, unknown> = {};
  for (const [key, item] of Object.entries(value)) {
    const result = mapTexts(item, [...path, key], replace);
    // An own key `__proto__`, which JSON and YAML can make, stays an own key instead of becoming the prototype.
    Object.defineProperty(mapped, key, { value: result, enumerable: true, writable: true, configurable: true });
  }
  return mapped;
}

function isPlainObject(value: unknown): value is Record<string, unknown> {
  if (typeof value !== "object" || value === null) return false;
  const prototype: unknown = Object.getPrototypeOf(value);
  return prototype === Object.prototype || prototype === null;
}

function fromEnvironment(name: string): string {
  const value = process.env[name];
  if (value === undefined) throw new Error(`the environment variable ${name === "" ? "with an empty name" : name} is not set`);
  return value;
}

/** A secret is a line or a certificate, not a data file. */
const MOST_SECRET_BYTES = 1024 * 1024;

function fromFile(path: string, folder: string): string {
  const file = resolvePath(folder, path);
  const stats = statSync(file);
  if (!stats.isFile()) throw new Error(`${file} is no file`);
  if (stats.size > MOST_SECRET_BYTES) throw new Error(`${file} is larger than 1 MiB, too large for a secret`);
  return readFileSync(file, "utf8").replace(/\r?\n$/, "");
}

/**
 * Where URLs have secrets: between user and host (up to the last `@`, since passwords with a bare `/` or `@` are a common
 * mistake), the token in the user's place of a NATS URL, and parameters with a telling name.
 */
const URL_SECRETS: readonly RegExp[] = [
  /(?<=[a-z][a-z0-9+.-]*:\/\/[^\s/?#"'`@:]*:)(?:(?!:\/\/)[^\s"'`])*(?=@)/gi,
  /(?<=\b(?:nats|tls|wss?):\/\/)[^\s/?#"'`@:]+(?=@)/gi,
  /(?<=[?&](?:password|passwd|sslpassword|token|secret|api_?key)=)[^\s&#"'`]+/gi,
];

/** Hides the passwords of all URLs in a text; user, host and path stay. */
export function maskUrl(text: string): string {
  return URL_SECRETS.reduce((masked, pattern) => masked.replaceAll(pattern, SECRET), text);
}

/** The passwords of all URLs in the texts of a value, at any depth, as written and decoded. */
export function urlPasswords(value: unknown): readonly string[] {
  const found = new Set<string>();
  mapTexts(value, [], (text) => {
    for (const [password] of URL_SECRETS.flatMap((pattern) => [...text.matchAll(pattern)])) {
      found.add(password);
      found.add(decoded(password));
    }
    return text;
  });
  found.delete("");
  return [...found];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/**
 * Hides secrets and the passwords of URLs in a text, also where a secret stands there as JSON or as part of a URL. One of
 * fewer than four characters is hidden only where it stands alone: `1` must not make holes in every number.
 */
export function redact(text: string, secrets: Iterable<string> = []): string {
  let shown = text;
  const forms = new Set([...secrets].flatMap((secret) => [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret)]));
  for (const form of [...forms].toSorted((a, b) => b.length - a.length)) {
    if (form === "") continue;
    shown = form.length < 4 ? shown.replaceAll(alone(form), SECRET) : shown.replaceAll(form, SECRET);
  }
  return maskUrl(shown);
}

function alone(text: string): RegExp {
  return new RegExp(`(?<![\\p{L}\\p{N}_])${RegExp.escape(text)}(?![\\p{L}\\p{N}_])`, "gu");
}
