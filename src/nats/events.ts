import type { Event, EventHeaders, Origin } from "../batch.ts";
import { NO_WATERMARK } from "../batch.ts";
import { decodeToken } from "../tokens.ts";
import type { Delivery } from "./delivery.ts";
import { headerValue, keyText, readHeaders } from "./headers.ts";

/** The header that carries an event's key where nothing else is set, for source and sink alike. NATS knows no keys. */
export const KEY_HEADER = "Millrace-Key";

/** Where the key of a message is: in a header, in one token of its subject (from 0), or the subject itself. */
export type KeySetting = "subject" | { readonly header: string } | { readonly subject: number };

/** What the server adds for its own purposes. */
const HIDDEN: ReadonlySet<string> = new Set(["Nats-Pin-Id"]);

/** Makes events of the messages of one stream. */
export class EventMaker {
  readonly #origin: Origin;
  readonly #key: KeySetting;

  constructor(stream: string, key: KeySetting) {
    this.#origin = { system: "jetstream", name: stream, partition: undefined };
    this.#key = key;
  }

  /** The value is the payload's bytes. */
  make(delivery: Delivery): Event<Uint8Array> {
    const { message } = delivery;
    const headers = readHeaders(message, HIDDEN);
    const key = this.#keyOf(message.subject, headers);
    return {
      value: message.data,
      key,
      time: delivery.time,
      headers,
      // One of its own where it comes again: right behind itself its results would be taken for more results of one delivery, and get other ids.
      origin: delivery.count > 1 ? { ...this.#origin } : this.#origin,
      offset: delivery.sequence,
      watermark: NO_WATERMARK,
      size: delivery.size,
      raw: message.data,
      rawKey: key,
    };
  }

  #keyOf(subject: string, headers: EventHeaders | undefined): string | undefined {
    const key = this.#key;
    if (key === "subject") return subject;
    if ("header" in key) {
      const value = headerValue(headers, key.header);
      return value === undefined ? undefined : keyText(value);
    }
    const token = subject.split(".")[key.subject];
    return token === undefined ? undefined : decodeToken(token);
  }
}
