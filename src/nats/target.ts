import { JetStreamApiError } from "@nats-io/jetstream";

import { NotReadyError } from "../errors.ts";
import type { JetStreamApi } from "./api.ts";
import { refused } from "./api.ts";
import { ensureStream } from "./consumers.ts";

/**
 * Makes sure that a stream takes a subject, creating it when it is missing and `create` says so.
 * @throws {NotReadyError} when none does
 */
export async function ensureTarget(
  api: JetStreamApi,
  signal: AbortSignal,
  wanted: { readonly subject: string; readonly stream: string | undefined; readonly create: boolean },
): Promise<void> {
  const { subject, stream, create } = wanted;
  if (stream !== undefined) await ensureStream(api, signal, { stream, subjects: [subject], create });
  const takers = await streamsOf(api, signal, subject);
  if (stream !== undefined && takers.includes(stream)) return;
  if (stream === undefined && takers.length > 0) return;
  const who = stream === undefined ? "no stream takes" : `stream "${stream}" does not take`;
  const remedy =
    stream === undefined ? `nats stream add STREAM --subjects "${subject}"` : `nats stream edit ${stream} --subjects "…,${subject}"`;
  throw new NotReadyError(
    `JetStream: ${who} the subject "${subject}": add it (${remedy})${stream === undefined ? ", or name a `stream` and set `create: true`" : ""}`,
  );
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
