/** A dead letter as headers of a record or message: those of the original, and behind them ours. */
import type { EventHeaders } from "../../batch.ts";
import type { DeadLetter } from "../../dead-letter.ts";
import { FIELD_NAMES, fieldsOf, letterOf } from "./fields.ts";

/** What our headers begin with. */
export const OWN = "millrace-";
/** Before the names of the original's headers that could be taken for ours, or for the broker's. */
const ORIGINAL = "millrace-original-";
/** On a record that takes a letter away: the letter's id. */
export const RESOLVED = "millrace-resolved";

const decoder = new TextDecoder();

/**
 * The headers of the original in their order, then `millrace-id`, `-task`, `-product`, `-step`, `-origin`, `-place`, `-holds`,
 * `-error`, `-message`, `-stack`, `-attempts`, `-first`, `-last`, `-version`, and `-left` where the value is left out. Headers of
 * the original that begin with `millrace-` or `nats-` get `millrace-original-` before their names.
 */
export function headersOf(letter: DeadLetter): EventHeaders {
  const fields = fieldsOf(letter);
  const own = FIELD_NAMES.flatMap((name) => {
    const text = fields[name];
    return text === undefined ? [] : [[OWN + name, text] as const];
  });
  return [...(letter.headers ?? []).map(([name, value]) => [escaped(name), value] as const), ...own];
}

/** The letter of a record; undefined when it is none. */
export function letterOfHeaders(headers: EventHeaders | undefined, value: Uint8Array | null): DeadLetter | undefined {
  const fields = ownFields(headers);
  return fields["resolved"] === undefined ? letterOf(fields, value, originalHeaders(headers)) : undefined;
}

/** Our headers as text, by their names without `millrace-`. */
export function ownFields(headers: EventHeaders | undefined): Readonly<Record<string, string | undefined>> {
  const fields: Record<string, string | undefined> = {};
  for (const [name, value] of headers ?? []) {
    if (isOwn(name)) fields[name.slice(OWN.length)] = typeof value === "string" ? value : decoder.decode(value);
  }
  return fields;
}

function originalHeaders(headers: EventHeaders | undefined): EventHeaders | undefined {
  const original = (headers ?? []).flatMap(([name, value]) =>
    isOwn(name) ? [] : [[name.startsWith(ORIGINAL) ? name.slice(ORIGINAL.length) : name, value] as const],
  );
  return original.length === 0 ? undefined : original;
}

function isOwn(name: string): boolean {
  return name.startsWith(OWN) && !name.startsWith(ORIGINAL);
}

function escaped(name: string): string {
  return /^(millrace|nats)-/i.test(name) ? ORIGINAL + name : name;
}
