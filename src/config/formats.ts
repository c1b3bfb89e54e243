/**
 * The kinds of values that settings have, each with how it is read from text (an environment variable, `--set`) and what
 * is a fault in it. Convict's own formats read "maybe" as true and "12x" as 12; these refuse both.
 */
import { DURATION_FORM, parseDuration } from "../duration.ts";
import { SECRET } from "../secrets.ts";
import { checkpointStoreFromText, checkpointStoreProblems } from "./checkpoint-store.ts";
import { shown } from "./shown.ts";
import { storeProblems, storesFromText } from "./task-stores.ts";

/** What the schema says of one setting. */
export interface Leaf {
  readonly format: FormatName;
  /** As it would be written in a settings file; null when there is nothing without it. */
  readonly default: unknown;
  /** One or two sentences for people. */
  readonly doc: string;
  /** Whether null (nothing) is a value. */
  readonly nullable?: true;
  /** Whether the value is a secret, never shown. */
  readonly sensitive?: true;
  /** The least: a number, milliseconds of a duration, bytes of a size, items of a list. */
  readonly min?: number;
  /** The most. */
  readonly max?: number;
  /** An environment variable by another's standard that gives it where Millrace's own variable does not. */
  readonly standardVariable?: string;
  /** What a `choice` can be. */
  readonly choices?: readonly string[];
  /** What URLs may begin with. */
  readonly schemes?: readonly string[];
}

/** Something wrong within a setting's value. */
export interface Problem {
  /** What follows the setting's path: `[1].sql.url`; empty when it is the value itself. */
  readonly within: string;
  readonly what: string;
}

interface Format {
  /** The value that a text stands for; the text itself when it stands for none, so that `check` names it. */
  fromText(text: string): unknown;
  check(value: unknown, leaf: Leaf): readonly Problem[];
  /** Whether values are maps; `fromText` then takes JSON. */
  readonly isMap?: true;
}

export type FormatName =
  | "whole"
  | "share"
  | "duration"
  | "size"
  | "choice"
  | "text"
  | "flag"
  | "file"
  | "folders"
  | "host"
  | "url"
  | "urls"
  | "addresses"
  | "task-stores"
  | "checkpoint-store";

/** By name, as the schema names them. */
export const formats: Readonly<Record<FormatName, Format>> = {
  whole: { fromText: numberFromText, check: (value, leaf) => must(isWithin(value, leaf), value, leaf, wholeForm(leaf)) },
  share: { fromText: numberFromText, check: (value, leaf) => must(isShare(value), value, leaf, "a number from 0 to 1") },
  duration: { fromText: numberFromText, check: checkDuration },
  size: { fromText: numberFromText, check: checkSize },
  choice: {
    fromText: (text) => text,
    check: (value, leaf) => must(leaf.choices?.includes(value as string) === true, value, leaf, `one of ${leaf.choices?.join(", ")}`),
  },
  text: { fromText: (text) => text, check: (value, leaf) => must(isText(value), value, leaf, "a text that is not empty") },
  flag: {
    fromText: (text) => (text === "true" ? true : text === "false" ? false : text),
    check: (value, leaf) => must(typeof value === "boolean", value, leaf, "true or false"),
  },
  file: { fromText: (text) => text, check: (value, leaf) => must(isText(value), value, leaf, "the path of a file") },
  folders: { fromText: listFromText, check: (value, leaf) => checkList(value, leaf, "the path of a folder", isText) },
  host: { fromText: (text) => text, check: (value, leaf) => must(isHost(value), value, leaf, "a host name or an address, without a port") },
  url: { fromText: (text) => text, check: (value, leaf) => must(isUrl(value, leaf), value, leaf, urlForm(leaf)) },
  urls: {
    fromText: listFromText,
    check: (value, leaf) => checkList(value, leaf, `${urlForm(leaf)}, or host:port`, (item) => isUrl(item, leaf) || isAddress(item)),
  },
  addresses: { fromText: listFromText, check: (value, leaf) => checkList(value, leaf, 'an address in the form "host:port"', isAddress) },
  "task-stores": { fromText: storesFromText, check: storeProblems },
  "checkpoint-store": { fromText: checkpointStoreFromText, check: checkpointStoreProblems, isMap: true },
};

/** A number of bytes, or undefined when it is none. Units are powers of 1024: KiB, MiB, GiB, and KB, MB, GB mean the same. */
export function parseSize(size: unknown): number | undefined {
  if (typeof size === "number") return Number.isFinite(size) && size >= 0 ? Math.round(size) : undefined;
  if (typeof size !== "string") return undefined;
  const match = /^(\d+(?:\.\d+)?)\s*([kmg]?)i?b?$/i.exec(size.trim());
  const power = ["", "k", "m", "g"].indexOf(match?.[2]?.toLowerCase() ?? "");
  return match === null ? undefined : Math.round(Number(match[1]) * 1024 ** power);
}

/** A value in a message, without secrets. */
function shownValue(value: unknown, leaf: Pick<Leaf, "sensitive">): string {
  return leaf.sensitive === true ? SECRET : shown(value);
}

function must(right: boolean, value: unknown, leaf: Leaf, form: string): readonly Problem[] {
  return right ? [] : [{ within: "", what: `must be ${form}, not ${shownValue(value, leaf)}` }];
}

function checkList(value: unknown, leaf: Leaf, form: string, isRight: (item: unknown) => boolean): readonly Problem[] {
  if (!Array.isArray(value)) return must(false, value, leaf, "a list");
  if (value.length < (leaf.min ?? 0)) return [{ within: "", what: `is an empty list; give ${form}` }];
  return value.flatMap((item, index) =>
    isRight(item) ? [] : [{ within: `[${index}]`, what: `must be ${form}, not ${shownValue(item, leaf)}` }],
  );
}

function numberFromText(text: string): unknown {
  return /^-?\d+(?:\.\d+)?$/.test(text.trim()) ? Number(text) : text;
}

/** A JSON list, or items with commas between them. */
function listFromText(text: string): unknown {
  if (text.trimStart().startsWith("[")) return jsonOr(text);
  return text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "");
}

function jsonOr(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch {
    return text;
  }
}

function isWithin(value: unknown, leaf: Leaf): boolean {
  return Number.isSafeInteger(value) && (value as number) >= (leaf.min ?? 0) && (value as number) <= (leaf.max ?? Number.MAX_SAFE_INTEGER);
}

function isShare(value: unknown): boolean {
  return typeof value === "number" && value >= 0 && value <= 1;
}

function wholeForm(leaf: Leaf): string {
  return leaf.max === undefined ? `a whole number, at least ${leaf.min ?? 0}` : `a whole number from ${leaf.min ?? 0} to ${leaf.max}`;
}

function checkDuration(value: unknown, leaf: Leaf): readonly Problem[] {
  const ms = parseDuration(value);
  if (ms === undefined) return must(false, value, leaf, `a duration (${DURATION_FORM})`);
  if (ms < (leaf.min ?? 0)) return [{ within: "", what: `must be at least ${leaf.min} ms, not ${shownValue(value, leaf)}` }];
  return must(ms <= (leaf.max ?? LONGEST), value, leaf, "at most 24 days");
}

/** Node's timers take no more; in milliseconds. */
const LONGEST = 24 * 24 * 3_600_000;

function checkSize(value: unknown, leaf: Leaf): readonly Problem[] {
  const bytes = parseSize(value);
  if (bytes === undefined) return must(false, value, leaf, 'bytes, or a number with a unit ("512MiB", "2GiB")');
  return must(bytes >= (leaf.min ?? 0), value, leaf, `at least ${(leaf.min ?? 0) / 1024 ** 2} MiB`);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value.trim() !== "";
}

/** A name (with `_`, which container networks allow), an IPv4 address, or an IPv6 address without brackets. */
function isHost(value: unknown): boolean {
  return typeof value === "string" && (HOST.test(value) || (value.includes(":") && URL.canParse(`tcp://[${value}]:1`)));
}

const HOST = /^(?!-)[A-Za-z0-9_-]{1,63}(?:\.[A-Za-z0-9_-]{1,63})*\.?$/;

/** `host:port`, `[IPv6]:port`. */
function isAddress(value: unknown): boolean {
  if (typeof value !== "string") return false;
  const match = /^(?:\[([^\]]+)\]|([^:\s]+)):(\d{1,5})$/.exec(value);
  const port = Number(match?.[3]);
  if (match === null || port < 1 || port > 65_535) return false;
  return match[1] === undefined ? HOST.test(match[2] ?? "") : isHost(match[1]) && match[1].includes(":");
}

function isUrl(value: unknown, leaf: Leaf): boolean {
  if (typeof value !== "string" || /\s/.test(value)) return false;
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(value)?.[1]?.toLowerCase();
  return scheme !== undefined && leaf.schemes?.includes(scheme) === true && URL.canParse(value) && new URL(value).hostname !== "";
}

function urlForm(leaf: Leaf): string {
  return `a URL that begins with ${leaf.schemes?.map((scheme) => `${scheme}://`).join(" or ")}`;
}
