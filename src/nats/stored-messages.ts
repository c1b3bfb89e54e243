import { AckPolicy, JetStreamApiError } from "@nats-io/jetstream";

import type { Event } from "../batch.ts";
import type { Clock } from "../clock.ts";
import { InfrastructureError, MillraceError } from "../errors.ts";
import type { JetStreamApi } from "./api.ts";
import { isDenied, refused } from "./api.ts";
import { ensureStream, filterConfig, nanoseconds, startConfig } from "./consumers.ts";
import type { EventMaker } from "./events.ts";
import { Feed } from "./feed.ts";

/** The server forgets the consumer when nobody asked it for so long, in milliseconds. */
const FORGOTTEN_AFTER = 60_000;
const LIMITS = { messages: 1024, bytes: 1_048_576 };
/** JetStream's codes for a message that is not there. */
const NOT_THERE: ReadonlySet<number> = new Set([10_037, 10_043, 10_057]);

/** Which messages of a stream, and what events are made with. */
export interface StoredMessages {
  readonly stream: string;
  /** May have wildcards. */
  readonly subject: string;
  readonly events: EventMaker;
  readonly clock: Clock;
}

/** Where one consumer's reading has got to. */
interface Reading {
  next: number;
  done: boolean;
}

/**
 * Reads what a stream has now of a subject, in order, through a consumer of its own that is made anew whenever something is
 * amiss; and ends. Nothing is acknowledged. Outages are waited out.
 * @throws {NotReadyError} when there is no such stream
 */
export async function* readStored(api: JetStreamApi, wanted: StoredMessages, signal: AbortSignal): AsyncGenerator<Event<Uint8Array>> {
  const { stream, subject } = wanted;
  const { state } = await ensureStream(api, signal, { stream, subjects: [subject], create: false });
  const reading: Reading = { next: 1, done: false };
  while (!reading.done && reading.next <= state.last_seq) yield* readOnce(api, wanted, reading, signal);
}

/** Reads through one consumer, until the end or until a delivery is missing. */
async function* readOnce(
  api: JetStreamApi,
  { stream, subject, events, clock }: StoredMessages,
  reading: Reading,
  signal: AbortSignal,
): AsyncGenerator<Event<Uint8Array>> {
  const config = {
    ...filterConfig([subject]),
    ...startConfig(reading.next),
    ack_policy: AckPolicy.None,
    inactive_threshold: nanoseconds(FORGOTTEN_AFTER),
    mem_storage: true,
  };
  const { name, num_pending: waiting } = await asked(`stream "${stream}" can't be read`, () =>
    api.ask(signal, ({ consumers }) => consumers.add(stream, config)),
  );
  if (waiting === 0) {
    reading.done = true;
    return;
  }
  let lost = false;
  await using feed = new Feed(api.link, { stream, consumer: name }, LIMITS, clock, async ({ kind, reason }) => {
    if (kind === "refused") throw new InfrastructureError(`stream "${stream}": the server does not deliver: ${reason}`);
    lost = true;
  });
  let expected = 1;
  for await (const deliveries of feed.read(signal)) {
    for (const delivery of deliveries) {
      // Something that was sent did not arrive.
      if (delivery.consumerSequence !== expected) return;
      expected += 1;
      reading.next = delivery.sequence + 1;
      reading.done = delivery.pending === 0;
      yield events.make(delivery);
      if (reading.done) return;
    }
    if (lost) return;
  }
  signal.throwIfAborted();
}

/**
 * Deletes messages by their sequence numbers; those that are gone are no error.
 * @throws {MillraceError} when this user, or the stream, does not allow it
 */
export async function deleteStored(api: JetStreamApi, stream: string, sequences: readonly number[], signal: AbortSignal): Promise<void> {
  for (const sequence of sequences) {
    try {
      await api.ask(signal, ({ streams }) => streams.deleteMessage(stream, sequence, false));
    } catch (error) {
      if (error instanceof JetStreamApiError && NOT_THERE.has(error.code)) continue;
      if (isDenied(error))
        throw new MillraceError(`NATS does not let this user delete messages: allow it to publish to $JS.API.STREAM.MSG.DELETE.${stream}`, {
          cause: error,
        });
      throw refused(`message ${sequence} of stream "${stream}" can't be deleted (deny_delete must be off)`, error);
    }
  }
}

async function asked<R>(what: string, ask: () => Promise<R>): Promise<R> {
  try {
    return await ask();
  } catch (error) {
    throw refused(what, error);
  }
}
