import type { StreamInfo } from "@nats-io/jetstream";
import { JetStreamApiError } from "@nats-io/jetstream";

import { NotReadyError } from "../errors.ts";
import type { JetStreamApi } from "./api.ts";
import { isDenied, refused } from "./api.ts";
import { ensureStream } from "./consumers.ts";

/** The stream that takes a subject, as far as it is known. */
export interface Target {
  readonly stream: string;
  /** Bytes of payload and headers that one message may have at most; undefined when there is no such limit. */
  readonly largest: number | undefined;
}

/**
 * Makes sure that a stream takes a subject, creating it when it is missing and `create` says so.
 * @returns the stream; undefined when several take the subject, or this user may not ask about it
 * @throws {NotReadyError} when none does
 */
export async function ensureTarget(
  api: JetStreamApi,
  signal: AbortSignal,
  wanted: { readonly subject: string; readonly stream: string | undefined; readonly create: boolean },
): Promise<Target | undefined> {
  const { subject, stream, create } = wanted;
  const info = stream === undefined ? undefined : await ensureStream(api, signal, { stream, subjects: [subject], create });
  const takers = await streamsOf(api, signal, subject);
  if (info !== undefined && takers.includes(info.config.name)) return targetOf(info);
  const [taker, ...others] = takers;
  if (stream === undefined && taker !== undefined) return others.length > 0 ? undefined : findTarget(api, signal, taker);
  const who = stream === undefined ? "no stream takes" : `stream "${stream}" does not take`;
  const remedy =
    stream === undefined ? `nats stream add STREAM --subjects "${subject}"` : `nats stream edit ${stream} --subjects "…,${subject}"`;
  throw new NotReadyError(
    `JetStream: ${who} the subject "${subject}": add it (${remedy})${stream === undefined ? ", or name a `stream` and set `create: true`" : ""}`,
  );
}

async function findTarget(api: JetStreamApi, signal: AbortSignal, stream: string): Promise<Target | undefined> {
  return api.ask(signal, async ({ streams }) => {
    try {
      return targetOf(await streams.info(stream));
    } catch (error) {
      // It can be written to all the same, and the server refuses what is too large.
      if (isDenied(error) || error instanceof JetStreamApiError) return undefined;
      throw error;
    }
  });
}

function targetOf({ config }: StreamInfo): Target {
  const { name, max_msg_size: largest } = config;
  return { stream: name, largest: largest < 0 ? undefined : largest };
}

async function streamsOf(api: JetStreamApi, signal: AbortSignal, subject: string): Promise<readonly string[]> {
  try {
    return await api.ask(signal, async ({ streams }) => {
      const found: string[] = [];
      for await (const name of streams.names(subject)) found.push(name);
      return found;
    });
  } catch (error) {
    if (error instanceof JetStreamApiError) throw refused(`the streams that take "${subject}" can't be listed`, error);
    throw error;
  }
}
