import { isUtf8 } from "node:buffer";

import type { EventHeaders } from "../../batch.ts";

/** A header as JSON: its value as text, or bytes that are no UTF-8 as base64. */
type JsonHeader = readonly [name: string, value: string | { readonly base64: string }];

/** Headers as JSON can hold them, in their order. */
export function headersToJson(headers: EventHeaders): readonly JsonHeader[] {
  return headers.map(([name, value]) => {
    if (typeof value === "string") return [name, value];
    return [name, isUtf8(value) ? Buffer.from(value).toString() : { base64: Buffer.from(value).toString("base64") }];
  });
}

/** The way back; undefined for what is no such thing. Bytes that are UTF-8 come back as text. */
export function headersFromJson(json: unknown): EventHeaders | undefined {
  if (!Array.isArray(json)) return undefined;
  const headers = (json as readonly JsonHeader[]).map(
    ([name, value]) => [name, typeof value === "string" ? value : Buffer.from(value.base64, "base64")] as const,
  );
  return headers.length === 0 ? undefined : headers;
}
