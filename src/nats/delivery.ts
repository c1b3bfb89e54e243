import type { Msg } from "@nats-io/transport-node";

/** A stored message as a consumer delivered it. */
export interface Delivery {
  readonly message: Msg;
  /** Where acknowledgements go; empty when the stream that it came from is gone. */
  reply: string;
  /** How often it was delivered, this time included. */
  readonly count: number;
  /** Its number in the stream, from 1. */
  readonly sequence: number;
  /** The number of the delivery in the consumer, from 1. */
  readonly consumerSequence: number;
  /** When the stream stored it, in milliseconds since the epoch. */
  readonly time: number;
  /** How many messages of the stream wait for the consumer after this one. */
  readonly pending: number;
  /** Bytes of subject, reply, headers and payload, as the server counts them. */
  readonly size: number;
  /** When it arrived, or its time to be acknowledged was last extended; by the process's clock, in milliseconds. */
  extended: number;
}

/** Acknowledgements, of the JetStream protocol. */
export const Ack = {
  /** Done; never delivered again. */
  done: new TextEncoder().encode("+ACK"),
  /** Deliver it again at once. */
  again: new TextEncoder().encode("-NAK"),
  /** Still worked on: the time to acknowledge it starts again. */
  working: new TextEncoder().encode("+WPI"),
} as const;

/** Deliver it again after so many milliseconds. */
export function againAfter(ms: number): Uint8Array {
  return new TextEncoder().encode(`-NAK {"delay": ${ms * 1_000_000}}`);
}

/** The client's messages have a method that their type leaves out. */
interface SizedMessage extends Msg {
  readonly size?: () => number;
}

/** Bytes of subject, reply, headers and payload of a message. */
export function sizeOf(message: SizedMessage): number {
  return message.size?.() ?? Buffer.byteLength(message.subject) + Buffer.byteLength(message.reply ?? "") + message.data.length;
}

/**
 * Reads what the reply subject of a delivered message tells: `$JS.ACK.STREAM.CONSUMER.…` or, with a domain,
 * `$JS.ACK.DOMAIN.ACCOUNT.STREAM.CONSUMER.…`, then deliveries, stream sequence, consumer sequence, nanoseconds, pending.
 * @returns undefined when it is no such subject: the message is a status of the server
 */
export function parseDelivery(message: Msg, now: number): Delivery | undefined {
  const reply = message.reply ?? "";
  if (!reply.startsWith("$JS.ACK.")) return undefined;
  const tokens = reply.split(".");
  const first = tokens.length === 9 ? 4 : 6;
  return {
    message,
    reply,
    count: Number(tokens[first]),
    sequence: Number(tokens[first + 1]),
    consumerSequence: Number(tokens[first + 2]),
    // Nanoseconds do not fit a double.
    time: Number((tokens[first + 3] ?? "").slice(0, -6)),
    pending: Number(tokens[first + 4]),
    size: sizeOf(message),
    extended: now,
  };
}
