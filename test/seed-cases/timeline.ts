import type { Fields } from "./case.ts";
import { eventsOf, field, isFields, UnknownCase } from "./case.ts";

/** An event, and when it comes, in milliseconds. */
export interface Timed {
  readonly at: number;
  /** With its `body`, and what else it has by name. */
  readonly event: Fields;
}

/** The events of a case, and when its input ends. */
export interface Timeline {
  readonly events: readonly Timed[];
  /** Milliseconds; undefined where the case does not say. */
  readonly end: number | undefined;
}

/**
 * Reads when events come: a text such as `a at t=0; b at t=.2; terminate at .8`, pairs of a time and an event, objects with a time `t`, or
 * events that all come at once. Times are seconds.
 * @param key the name of the field that has an event's key, in a text that tells keys alone
 */
export function timelineOf(input: unknown, key: string | undefined): Timeline {
  const timeline = field(input, "timeline");
  if (typeof timeline === "string") return ofText(timeline, key);
  const end = field(input, "terminate_at") ?? field(input, "terminate");
  const events = Array.isArray(timeline) ? (timeline as readonly unknown[]).map(ofPair) : eventsOf(input).map(timed);
  return { events, end: typeof end === "number" ? end * 1000 : undefined };
}

function ofText(text: string, key: string | undefined): Timeline {
  const events: Timed[] = [];
  let end: number | undefined;
  for (const part of text
    .split(";")
    .map((each) => each.trim())
    .filter((each) => each !== "")) {
    const match = /^(.+?) at (?:t ?= ?)?([\d.]+) ?s?$/.exec(part);
    if (match === null) throw new UnknownCase(`can't read ${JSON.stringify(part)} in the timeline ${JSON.stringify(text)}`);
    const at = Number(match[2]) * 1000;
    const what = (match[1] ?? "").trim();
    if (/^(?:terminate|terminated|termination|end)$/.test(what)) {
      end = at;
      continue;
    }
    for (const item of what.split(/, ?| and /)) {
      const body = key === undefined ? literal(item) : { [key]: literal(item), v: events.length + 1 };
      events.push({ at, event: { body } });
    }
  }
  return { events, end };
}

function literal(text: string): unknown {
  const trimmed = text.replace(/^event /, "").trim();
  return /^-?[\d.]+$/.test(trimmed) ? Number(trimmed) : trimmed.replaceAll(/^['"]|['"]$/g, "");
}

function ofPair(given: unknown): Timed {
  if (!Array.isArray(given) || given.length !== 2 || typeof given[0] !== "number") return timed(given);
  return { at: given[0] * 1000, event: eventOf(given[1]) };
}

function timed(given: unknown): Timed {
  const at = field(given, "t") ?? field(given, "t_s");
  if (!isFields(given) || typeof at !== "number") return { at: 0, event: eventOf(given) };
  const name = ["x", "v", "event", "body", "value"].find((each) => Object.hasOwn(given, each));
  return { at: at * 1000, event: eventOf(name === undefined ? given : given[name]) };
}

function eventOf(given: unknown): Fields {
  return isFields(given) && Object.hasOwn(given, "body") ? given : { body: given };
}
