import type { Event, EventHeaders } from "../batch.ts";
import type { Refuse } from "../contracts.ts";
import { DataError } from "../errors.ts";
import { BATCH_OVERHEAD, type OutgoingRecord, outgoingRecord } from "../kafka/outgoing-record.ts";
import { RecordRefusedError } from "../kafka/producer.ts";
import { ID_HEADER, type ResultIds } from "../result-ids.ts";
import { encoderFor, type Format } from "../values.ts";

/** The kind of the sink, which is also the name of its step in errors. */
export const KIND = "kafka";

/** How events become records. */
export interface RecordSettings {
  readonly topic: string;
  readonly format?: Format | undefined;
  readonly key: "event" | "none";
  readonly keyEncoding: "utf8" | "latin1";
  readonly maxMessageBytes: number;
}

/** The records of some events, without those that were refused and left out. */
export interface EventRecords {
  readonly records: readonly OutgoingRecord[];
  /** The event of each record. */
  readonly sent: readonly Event[];
  /** What ended it before the last event, at one that there can be no record of. */
  readonly end: { readonly thrown: unknown } | undefined;
}

/** Makes records of events. */
export class RecordMaker {
  readonly #settings: RecordSettings;
  readonly #encode: (value: unknown) => Uint8Array | string | null;
  readonly #ids: ResultIds | undefined;

  /** @param ids for the header with each result's id; undefined for none */
  constructor(settings: RecordSettings, ids: ResultIds | undefined) {
    this.#settings = settings;
    this.#ids = ids;
    this.#encode = encoderFor(settings.format);
  }

  /** @param refuse asked about each event that there can be no record of; what it throws ends the records there */
  recordsOf(events: readonly Event[], refuse: Refuse): EventRecords {
    const records: OutgoingRecord[] = [];
    const sent: Event[] = [];
    for (const event of events) {
      const record = this.#record(event);
      if (!(record instanceof DataError)) {
        records.push(record);
        sent.push(event);
        continue;
      }
      try {
        refuse(event, record);
      } catch (thrown) {
        return { records, sent, end: { thrown } };
      }
    }
    return { records, sent, end: undefined };
  }

  /** Those of the event, with the result's id in the place of the one that its record had. */
  #headers(event: Event): EventHeaders | undefined {
    const { headers } = event;
    if (this.#ids === undefined) return headers;
    const own = [ID_HEADER, this.#ids.of(event)] as const;
    if (headers === undefined) return [own];
    return hasId(headers) ? [...headers.filter(([name]) => name !== ID_HEADER), own] : [...headers, own];
  }

  /** The record of an event, or why there can't be one. */
  #record(event: Event): OutgoingRecord | DataError {
    const { key, keyEncoding, maxMessageBytes, topic } = this.#settings;
    const text = key === "none" ? undefined : event.key;
    const bytes = text === undefined || keyEncoding === "utf8" ? text : Buffer.from(text, "latin1");
    try {
      const record = outgoingRecord(bytes, this.#encode(event.value), event.time, this.#headers(event));
      if (record.size + BATCH_OVERHEAD <= maxMessageBytes) return record;
      throw new RangeError(
        `the record has about ${record.size} bytes, more than the limit of ${maxMessageBytes} (maxMessageBytes) for topic "${topic}"`,
      );
    } catch (error) {
      return new DataError(KIND, event, error);
    }
  }
}

function hasId(headers: EventHeaders): boolean {
  for (let index = 0; index < headers.length; index++) if (headers[index]?.[0] === ID_HEADER) return true;
  return false;
}

/** What a writer threw; where the broker will never take a record, as the error of its event. */
export function ofItsEvent(error: unknown, records: readonly OutgoingRecord[], events: readonly Event[]): unknown {
  if (!(error instanceof RecordRefusedError)) return error;
  const event = events[records.indexOf(error.record)];
  return new DataError(KIND, event, error);
}
