/** Messages, and the bytes of subject, reply, headers and payload that the server counts for them. */
export interface Amount {
  readonly messages: number;
  readonly bytes: number;
}

/** More room than what the server counts of a message beside its payload and headers. */
const OVERHEAD = 8192;

/**
 * How much a pull subscription may still ask for. What was asked for and what has arrived but was not taken stay together
 * within the limits. The server counts on its own; where the two drift apart, the end of a request puts it right.
 */
export class Demand {
  readonly #limits: Amount;
  #most = Number.POSITIVE_INFINITY;
  #mostBytes = Number.POSITIVE_INFINITY;
  #asked = { messages: 0, bytes: 0 };
  #here = { messages: 0, bytes: 0 };
  /** The largest payload that the server takes, in bytes: a request for less might never be served. */
  maxPayload = 0;

  constructor(limits: Amount) {
    this.#limits = limits;
  }

  /** Whether something that was asked for has not arrived. */
  get asked(): boolean {
    return this.#asked.messages > 0;
  }

  /** What to ask for now, counted as asked for; undefined while enough is asked for, or too much is here. */
  more(): Amount | undefined {
    const largest = this.maxPayload + OVERHEAD;
    const room = Math.max(this.#limits.bytes, 2 * largest) - this.#here.bytes - this.#asked.bytes;
    const messages = Math.min(this.#limits.messages - this.#here.messages - this.#asked.messages, this.#most);
    const bytes = Math.min(room, this.#mostBytes);
    const few = messages < 1 || (this.asked && messages < this.#limits.messages / 4);
    if (few || bytes < Math.min(largest, this.#mostBytes)) return undefined;
    this.#asked.messages += messages;
    this.#asked.bytes += bytes;
    return { messages, bytes };
  }

  arrived(size: number): void {
    this.#here.messages++;
    this.#here.bytes += size;
    this.ended(1, size);
  }

  taken(size: number): void {
    this.#here.messages--;
    this.#here.bytes -= size;
  }

  /** A request ended with so much of it left; undefined: all of it. */
  ended(messages: number | undefined, bytes: number | undefined): void {
    this.#asked.messages = Math.max(0, this.#asked.messages - (messages ?? this.#asked.messages));
    // Without messages to come there are no bytes to come.
    this.#asked.bytes = this.#asked.messages === 0 ? 0 : Math.max(0, this.#asked.bytes - (bytes ?? this.#asked.bytes));
  }

  /** Nothing is asked for any more. */
  forget(): void {
    this.ended(undefined, undefined);
  }

  /** Obeys a limit of the consumer on one request. @returns whether there is such a limit to obey */
  limit(name: string, value: number): boolean {
    if (value < 1) return false;
    if (name === "maxrequestbatch") this.#most = value;
    else if (name === "maxrequestmaxbytes") this.#mostBytes = value;
    else return false;
    return true;
  }
}
