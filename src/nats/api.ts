/** Requests to JetStream that wait out an outage. */
import type { JetStreamManager } from "@nats-io/jetstream";
import { JetStreamApiError, JetStreamError, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection as Client } from "@nats-io/transport-node";
import { PermissionViolationError } from "@nats-io/transport-node";

import type { Clock } from "../clock.ts";
import { sleep } from "../clock.ts";
import { InfrastructureError, messageOf, MillraceError } from "../errors.ts";
import type { NatsLink } from "./connection.ts";

/** How long JetStream may take to answer a request, in milliseconds. */
const REQUEST_TIMEOUT = 5000;
const SHORTEST_WAIT = 100;
const LONGEST_WAIT = 5000;

/** Codes of JetStream's errors that are told apart, of nats-server's errors.json. */
export const ApiCode = {
  consumerNameInUse: 10013,
  consumerNotFound: 10014,
  streamNameInUse: 10058,
  streamNotFound: 10059,
  consumerExists: 10148,
} as const;

/** Asks JetStream. Outages, and a JetStream that does not answer yet, are waited out until a signal aborts. */
export class JetStreamApi {
  readonly link: NatsLink;
  readonly #clock: Clock;
  readonly #waiting: (reason: string | undefined) => void;
  readonly #managers = new WeakMap<Client, Promise<JetStreamManager>>();

  /** @param waiting told why a request waits, and undefined when it got its answer after all */
  constructor(link: NatsLink, clock: Clock, waiting: (reason: string | undefined) => void) {
    this.link = link;
    this.#clock = clock;
    this.#waiting = waiting;
  }

  /**
   * Runs requests, again from the start after each failure that may pass.
   * @throws {JetStreamApiError} what JetStream refused for good
   */
  async ask<T>(signal: AbortSignal, request: (manager: JetStreamManager) => Promise<T>): Promise<T> {
    let waited = false;
    for (let failures = 0; ; failures++) {
      const client = await this.link.ready(signal);
      try {
        const answer = await request(await this.#manager(client));
        if (waited) this.#waiting(undefined);
        return answer;
      } catch (error) {
        if (!mayPass(error)) throw error;
        // While the connection is away, that is the reason to tell.
        if (this.link.client === client) this.#waiting(`JetStream on ${client.getServer()} does not answer: ${messageOf(error)}`);
        waited = true;
        await sleep(Math.min(SHORTEST_WAIT * 2 ** Math.min(failures, 10), LONGEST_WAIT), signal, this.#clock);
      }
    }
  }

  #manager(client: Client): Promise<JetStreamManager> {
    const known = this.#managers.get(client) ?? jetstreamManager(client, { checkAPI: false, timeout: REQUEST_TIMEOUT });
    this.#managers.set(client, known);
    return known;
  }
}

/** Whether an error is no refusal: no answer, no JetStream just now, a cluster without a leader. */
function mayPass(error: unknown): boolean {
  if (error instanceof MillraceError) return false;
  // JetStream answers 503 while it starts and while a cluster has no leader.
  if (error instanceof JetStreamApiError) return error.status === 503;
  if (error instanceof JetStreamError || error instanceof TypeError) return false;
  return error instanceof Error && error.name !== "InvalidArgumentError" && error.name !== "InvalidNameError";
}

/** Whether JetStream says that it has no such stream or consumer. */
export function isMissing(error: unknown): error is JetStreamApiError {
  return error instanceof JetStreamApiError && (error.code === ApiCode.streamNotFound || error.code === ApiCode.consumerNotFound);
}

/** Whether JetStream says that it has no such stream. */
export function isStreamMissing(error: unknown): boolean {
  return error instanceof JetStreamApiError && error.code === ApiCode.streamNotFound;
}

/** Whether the server does not let this user ask for that. */
export function isDenied(error: unknown): error is Error {
  return error instanceof Error && error.cause instanceof PermissionViolationError;
}

/** What JetStream refused, as an error of ours that says what was asked. */
export function refused(what: string, error: unknown): Error {
  if (!(error instanceof JetStreamApiError)) return error instanceof Error ? error : new InfrastructureError(String(error));
  return new InfrastructureError(`${what}: JetStream refused: ${error.message} (${error.code})`, { cause: error });
}
