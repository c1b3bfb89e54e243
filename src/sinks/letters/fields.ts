/** A dead letter as named texts, which is what headers, lines of a file and rows of a table have in common. */
import type { EventHeaders, Origin } from "../../batch.ts";
import { placeOf } from "../../batch.ts";
import type { DeadLetter } from "../../dead-letter.ts";

/**
 * All but value and headers. `origin` is for people (`kafka orders/3@1234`); `place` has the same as JSON, with key and time, so
 * that they come back exactly. `first` and `last` are ISO 8601 in UTC.
 */
export interface LetterFields {
  readonly id: string;
  readonly task: string;
  readonly product: string;
  readonly step: string;
  readonly origin: string;
  readonly place: string;
  readonly holds: string;
  readonly error: string;
  readonly message: string;
  readonly stack: string | undefined;
  readonly attempts: string;
  readonly first: string;
  readonly last: string;
  readonly version: string;
  /** How many bytes the value had that is missing. */
  readonly left: string | undefined;
}

/** The names of the fields, in the order in which they are written. */
export const FIELD_NAMES: readonly (keyof LetterFields)[] = [
  "id",
  "task",
  "product",
  "step",
  "origin",
  "place",
  "holds",
  "error",
  "message",
  "stack",
  "attempts",
  "first",
  "last",
  "version",
  "left",
];

/** What is in `place`. Numbers that are none (NaN) and what is undefined are left out. */
interface Place {
  readonly system: string;
  readonly name: string;
  readonly partition?: number;
  readonly edition?: string;
  readonly offset: number;
  readonly key?: string;
  readonly time?: number;
}

/** The fields of a letter. */
export function fieldsOf(letter: DeadLetter): LetterFields {
  const { origin, offset, key, time } = letter;
  const place = { ...origin, offset, key, time: Number.isFinite(time) ? time : undefined };
  return {
    id: letter.id,
    task: letter.task,
    product: letter.product,
    step: letter.step,
    origin: placeOf(origin, offset),
    place: JSON.stringify(place),
    holds: letter.holds,
    error: letter.error,
    message: letter.message,
    stack: letter.stack,
    attempts: String(letter.attempts),
    first: isoTime(letter.firstFailure) ?? "",
    last: isoTime(letter.lastFailure) ?? "",
    version: letter.version,
    left: letter.leftOut === undefined ? undefined : String(letter.leftOut),
  };
}

/** The letter of fields that were read; undefined when they are those of no letter. */
export function letterOf(
  fields: Readonly<Record<string, string | undefined>>,
  value: Uint8Array | null,
  headers: EventHeaders | undefined,
): DeadLetter | undefined {
  const place = placeIn(fields["place"]);
  const { id, task } = fields;
  if (place === undefined || id === undefined || task === undefined) return undefined;
  const { offset, key, time = Number.NaN, system, name, partition, edition } = place;
  const origin: Origin = { system, name, partition, ...(edition === undefined ? {} : { edition }) };
  const left = fields["left"];
  return {
    id,
    task,
    product: fields["product"] ?? "",
    step: fields["step"] ?? "",
    origin,
    offset,
    holds: fields["holds"] === "derived" ? "derived" : "record",
    value: left === undefined ? value : null,
    ...(left === undefined ? {} : { leftOut: Number(left) }),
    key,
    headers,
    time,
    error: fields["error"] ?? "",
    message: fields["message"] ?? "",
    stack: fields["stack"],
    attempts: Number(fields["attempts"] ?? 1),
    firstFailure: Date.parse(fields["first"] ?? ""),
    lastFailure: Date.parse(fields["last"] ?? ""),
    version: fields["version"] ?? "",
  };
}

function placeIn(text: string | undefined): Place | undefined {
  if (text === undefined) return undefined;
  try {
    const place = JSON.parse(text) as Partial<Place> | null;
    const isPlace = typeof place?.system === "string" && typeof place.name === "string" && typeof place.offset === "number";
    return isPlace ? (place as Place) : undefined;
  } catch {
    return undefined;
  }
}

/** ISO 8601 in UTC; undefined for what is no time of a calendar. */
export function isoTime(ms: number): string | undefined {
  const date = new Date(ms);
  return Number.isNaN(date.getTime()) ? undefined : date.toISOString();
}
