/** A dead letter as a line of JSON. */
import { isUtf8 } from "node:buffer";

import type { DeadLetter } from "../../dead-letter.ts";
import { FIELD_NAMES, fieldsOf, isoTime, letterOf } from "./fields.ts";
import { headersFromJson, headersToJson } from "./headers-json.ts";

/** What one line says. */
export type LetterLine = { readonly letter: DeadLetter } | { readonly resolved: string; readonly task: string };

/**
 * The line of a letter, without its end: the fields, with `place` as an object and `attempts` as a number, then `key`, `time`
 * (ISO 8601), `headers` (pairs, a value that is no UTF-8 as `{ base64 }`), `value` (base64, null for a tombstone) and `text`, the
 * same as text where it is UTF-8.
 */
export function lineOf(letter: DeadLetter): string {
  const { place, attempts, left, ...fields } = fieldsOf(letter);
  const { value, key, headers, time } = letter;
  return JSON.stringify({
    ...fields,
    attempts: Number(attempts),
    place: JSON.parse(place) as unknown,
    key,
    time: isoTime(time),
    headers: headers === undefined ? undefined : headersToJson(headers),
    value: base64Of(value),
    text: textOf(value),
    left: left === undefined ? undefined : Number(left),
  });
}

/** The line that takes a letter away. */
export function resolvingLine(task: string, id: string): string {
  return JSON.stringify({ resolved: id, task });
}

/** What a line says; undefined when it is none of ours, such as the half of one. */
export function parseLine(line: string): LetterLine | undefined {
  let json: Record<string, unknown>;
  try {
    json = JSON.parse(line) as Record<string, unknown>;
  } catch {
    return undefined;
  }
  if (typeof json !== "object" || json === null) return undefined;
  if (typeof json["resolved"] === "string" && typeof json["task"] === "string") return { resolved: json["resolved"], task: json["task"] };
  const fields: Record<string, string | undefined> = {};
  for (const name of FIELD_NAMES) fields[name] = fieldText(json[name]);
  const { value } = json;
  const letter = letterOf(fields, typeof value === "string" ? Buffer.from(value, "base64") : null, headersFromJson(json["headers"]));
  return letter === undefined ? undefined : { letter };
}

function fieldText(field: unknown): string | undefined {
  if (typeof field === "string") return field;
  if (typeof field === "number") return String(field);
  return typeof field === "object" && field !== null ? JSON.stringify(field) : undefined;
}

export function base64Of(value: Uint8Array | null): string | null {
  return value === null ? null : Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString("base64");
}

/** The value as text, where it is UTF-8. */
export function textOf(value: Uint8Array | null): string | undefined {
  return value === null || !isUtf8(value) ? undefined : Buffer.from(value).toString();
}
