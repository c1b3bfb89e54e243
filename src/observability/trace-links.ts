import { isSpanContextValid, type Link, type SpanContext, TraceFlags } from "@opentelemetry/api";

import type { Event } from "../batch.ts";

/** The header of a record that carries its trace context: https://www.w3.org/TR/trace-context/. */
const HEADER = "traceparent";

/** Links of a span: OpenTelemetry's usual limit. */
export const MOST_LINKS = 128;

/** Links to the traces that events belong to, each once: at most MOST_LINKS, those first that are recorded elsewhere too. */
export function linksTo(events: readonly Event[]): Link[] {
  const seen = new Set<string>();
  const sampled: Link[] = [];
  const others: Link[] = [];
  for (const { headers } of events) {
    if (headers === undefined) continue;
    const parent = traceParentOf(headers);
    if (parent === undefined || seen.has(parent)) continue;
    seen.add(parent);
    const context = spanContextOf(parent);
    if (context === undefined) continue;
    if ((context.traceFlags & TraceFlags.SAMPLED) === 0) others.push({ context });
    else if (sampled.push({ context }) === MOST_LINKS) return sampled;
  }
  return [...sampled, ...others].slice(0, MOST_LINKS);
}

function traceParentOf(headers: NonNullable<Event["headers"]>): string | undefined {
  for (const [name, value] of headers) {
    if (name.toLowerCase() !== HEADER) continue;
    return typeof value === "string" ? value : value.length > MOST_BYTES ? undefined : Buffer.from(value).toString("latin1");
  }
  return undefined;
}

/** Whatever is longer is none. */
const MOST_BYTES = 256;

/** Version 00, or what a later one shares with it. */
const FORM = /^([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?$/;

function spanContextOf(parent: string): SpanContext | undefined {
  const [, version, traceId = "", spanId = "", flags = "", rest] = FORM.exec(parent.trim()) ?? [];
  if (version === undefined || version === "ff" || (version === "00" && rest !== undefined)) return undefined;
  const context = { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true };
  return isSpanContextValid(context) ? context : undefined;
}
