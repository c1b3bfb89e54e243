import { createHash } from "node:crypto";

import type { Event, EventHeaders } from "../batch.ts";
import type { TaskIdentity, Tries } from "../contracts.ts";
import type { DeadLetter } from "../dead-letter.ts";
import { DataError, messageOf, shortened, stackOf } from "../errors.ts";
import { encode } from "../values.ts";
import { VERSION } from "../version.ts";
import { classOf, rootOf } from "./error-class.ts";

/** The header of an event that was a dead letter and is tried again: the letter's id. */
export const REPLAY_HEADER = "millrace-replay";
/** How often such an event was tried before. */
export const ATTEMPTS_HEADER = "millrace-attempts";
/** When it failed first, in milliseconds since the epoch. */
export const FIRST_HEADER = "millrace-first";

const REPLAY_HEADERS: ReadonlySet<string> = new Set([REPLAY_HEADER, ATTEMPTS_HEADER, FIRST_HEADER]);

/** The most characters of a stack trace. */
const LONGEST_STACK = 8000;

/** An event that a step can't process, and why. */
export interface FailedEvent {
  readonly task: TaskIdentity;
  readonly step: string;
  readonly event: Event;
  readonly error: unknown;
  readonly tries: Tries;
  /** Takes secrets out of a text. */
  readonly hide: (text: string) => string;
}

/** What is kept of an event that could not be processed. Never throws. */
export function deadLetter({ task, step, event, error, tries, hide }: FailedEvent): DeadLetter {
  const replay = replayOf(event.headers);
  const root = rootOf(error);
  const isRecord = event.raw !== undefined;
  const stack = stackOf(root);
  return {
    id: replay?.id ?? letterId(task.id, step, event),
    task: task.id,
    product: task.product,
    step,
    origin: event.origin,
    offset: event.offset,
    holds: isRecord ? "record" : "derived",
    value: bytesOf(isRecord ? event.raw : asText(event.value)),
    key: isRecord ? event.rawKey : event.key,
    headers: originalHeaders(event.headers),
    time: event.time,
    error: classOf(error),
    message: shortened(hide(messageOf(toldBy(error)))),
    stack: stack === undefined ? undefined : shortened(hide(stack), LONGEST_STACK),
    attempts: (replay?.attempts ?? 0) + tries.attempts,
    firstFailure: Math.min(replay?.first ?? tries.first, tries.first),
    lastFailure: tries.last,
    version: VERSION,
  };
}

/** What was thrown, where it has been told as a data error of its event. The error of a model stays, since it says which model. */
function toldBy(error: unknown): unknown {
  return error instanceof DataError && error.cause instanceof Error ? toldBy(error.cause) : error;
}

/** The same for the same event of the same task. What was made of several records has no other name than the step that made or refused it. */
function letterId(task: string, step: string, { origin, offset, raw, key, time }: Event): string {
  const record = [task, origin.system, origin.name, origin.partition ?? null, origin.edition ?? null, offset];
  const name = raw === undefined ? [...record, step, key ?? null, String(time)] : record;
  return createHash("sha256").update(JSON.stringify(name)).digest("hex").slice(0, 32);
}

interface Replay {
  readonly id: string;
  readonly attempts: number;
  readonly first: number | undefined;
}

/** Which letter an event was, if it says so. Others than Millrace can write headers too, so they are looked at. */
function replayOf(headers: EventHeaders | undefined): Replay | undefined {
  if (headers === undefined) return undefined;
  const id = headerOf(headers, REPLAY_HEADER);
  if (id === undefined || !/^[0-9a-f]{32}$/.test(id)) return undefined;
  return { id, attempts: wholeNumber(headerOf(headers, ATTEMPTS_HEADER)) ?? 0, first: wholeNumber(headerOf(headers, FIRST_HEADER)) };
}

function headerOf(headers: EventHeaders, name: string): string | undefined {
  const value = headers.find(([candidate]) => candidate.toLowerCase() === name)?.[1];
  return value === undefined || typeof value === "string" ? value : Buffer.from(value).toString("latin1");
}

function wholeNumber(text: string | undefined): number | undefined {
  const value = text === undefined || !/^\d{1,16}$/.test(text) ? Number.NaN : Number(text);
  return Number.isSafeInteger(value) ? value : undefined;
}

function originalHeaders(headers: EventHeaders | undefined): EventHeaders | undefined {
  const kept = headers?.filter(([name]) => !REPLAY_HEADERS.has(name.toLowerCase()));
  return kept === undefined || kept.length === 0 ? undefined : kept;
}

function bytesOf(value: Uint8Array | string | null | undefined): Uint8Array | null {
  return typeof value === "string" ? Buffer.from(value) : (value ?? null);
}

/** A value as JSON; bytes and what JSON can't hold as they can be told. */
function asText(value: unknown): Uint8Array | string | null {
  if (value instanceof Uint8Array || value === null || value === undefined) return value ?? null;
  try {
    return encode.json(value);
  } catch (error) {
    return JSON.stringify({ unwritable: messageOf(error) });
  }
}
