import { stringify } from "csv-stringify/sync";

import type { Event } from "../batch.ts";
import { CSV_CAST } from "../csv.ts";
import { DataError } from "../errors.ts";
import { encoderFor } from "../values.ts";

/** Makes the bytes that a batch of events is written as. */
export interface LineWriter {
  /** @param begins whether the file is empty so far @throws DataError naming the event that can't be written */
  bytesOf(events: readonly Event[], begins: "empty file" | "more"): Buffer;
}

const NEWLINE = 10;

/** One value per line: JSON (bytes and text are taken as JSON already) or text. */
export function lineWriter(format: "ndjson" | "text", step: string): LineWriter {
  const encode = encoderFor(format === "text" ? "text" : undefined);
  const empty = format === "text" ? "" : "null";
  return {
    bytesOf(events) {
      const parts: (Uint8Array | string)[] = [];
      let text = "";
      for (const event of events) {
        const value = attempt(step, event, () => oneLine(encode(event.value) ?? empty));
        if (typeof value === "string") {
          text += `${value}\n`;
          continue;
        }
        parts.push(text, value);
        text = "\n";
      }
      parts.push(text);
      return parts.length === 1
        ? Buffer.from(text)
        : Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
    },
  };
}

/** Rows with a header line; columns are those configured, else the fields of the first value. */
export function csvWriter(columns: readonly string[] | undefined, step: string): LineWriter {
  let known = columns;
  return {
    bytesOf(events, begins) {
      const rows = events.map((event) => attempt(step, event, () => rowOf(event.value)));
      known ??= Object.keys(rows[0] ?? {});
      return Buffer.from(
        stringify(rows, {
          columns: [...known],
          header: begins === "empty file",
          cast: CSV_CAST,
        }),
      );
    },
  };
}

function oneLine(value: Uint8Array | string): Uint8Array | string {
  const broken = typeof value === "string" ? value.includes("\n") : value.includes(NEWLINE);
  if (broken) throw new TypeError("the value has a line break, so it can't be one line of the file");
  return value;
}

function rowOf(value: unknown): Record<string, unknown> {
  if (typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Uint8Array))
    return value as Record<string, unknown>;
  throw new TypeError("a row of a CSV file must be an object");
}

function attempt<R>(step: string, event: Event, work: () => R): R {
  try {
    return work();
  } catch (error) {
    throw new DataError(step, event, error);
  }
}
