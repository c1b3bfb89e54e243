import { Redis } from "ioredis";

import { InfrastructureError, messageOf } from "../errors.ts";
import { redact, urlPasswords } from "../secrets.ts";

/** How long connecting and each command may take, in milliseconds. */
const PATIENCE = { connect: 5_000, command: 5_000 };
const LONGEST_RECONNECT = 5_000;

/** A connection to Redis that reconnects by itself; what is sent while it is away fails at once. */
export class RedisConnectionHandle implements AsyncDisposable {
  readonly client: Redis;
  readonly #secrets: readonly string[];
  #trouble: string | undefined;
  #connecting: Promise<void> | undefined;

  constructor(url: string) {
    this.#secrets = urlPasswords(url);
    this.client = new Redis(url, {
      lazyConnect: true,
      connectTimeout: PATIENCE.connect,
      commandTimeout: PATIENCE.command,
      // What is not sent must not pile up in memory: the caller waits and tries again.
      enableOfflineQueue: false,
      maxRetriesPerRequest: 0,
      autoResendUnfulfilledCommands: false,
      retryStrategy: (times) => Math.min(times * 100, LONGEST_RECONNECT),
    });
    // Without a listener the client writes to the console; who sends gets the error as well.
    this.client.on("error", (error) => {
      this.#trouble = messageOf(error);
    });
    this.client.on("ready", () => {
      this.#trouble = undefined;
    });
  }

  /** Settles when commands can be sent. @throws {InfrastructureError} when Redis is away */
  async ready(): Promise<void> {
    if (this.client.status === "ready") return;
    this.#connecting ??= this.#connect().finally(() => {
      this.#connecting = undefined;
    });
    try {
      await this.#connecting;
    } catch (error) {
      throw this.failure(error);
    }
  }

  async #connect(): Promise<void> {
    const { client } = this;
    if (client.status === "wait" || client.status === "end") {
      await client.connect();
      return;
    }
    // The client is at it by itself: `close` comes when that attempt has failed.
    await new Promise<void>((resolve, reject) => {
      const settle = (outcome: () => void) => () => {
        clearTimeout(timer);
        client.off("ready", onReady);
        client.off("close", onClose);
        outcome();
      };
      const onReady = settle(resolve);
      const onClose = settle(() => reject(new Error("the connection is closed")));
      const timer = setTimeout(
        settle(() => reject(new Error(`no connection within ${PATIENCE.connect} ms`))),
        PATIENCE.connect,
      );
      client.once("ready", onReady);
      client.once("close", onClose);
    });
  }

  /**
   * Connects anew: what was sent and not answered in time must not be followed by the same again on a connection that
   * only hung.
   */
  reset(): void {
    this.client.disconnect(true);
  }

  /** An error for the operator, without the password. */
  failure(error: unknown): InfrastructureError {
    const reason = this.#trouble === undefined ? messageOf(error) : this.#trouble;
    return new InfrastructureError(redact(`Redis: ${reason}`, this.#secrets), { cause: error });
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.client.disconnect();
    return Promise.resolve();
  }
}

/** The key under which the sinks of a process share a connection. */
export function redisLeaseKey(url: string): string {
  return `redis ${url}`;
}
