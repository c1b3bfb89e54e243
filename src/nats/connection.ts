/**
 * The process's connection to NATS. The one file that connects; everything of one process that talks to the same servers
 * shares one connection.
 */
import { lookup } from "node:dns/promises";

import type { NatsConnection as Client } from "@nats-io/transport-node";
import {
  connect,
  credsAuthenticator,
  PermissionViolationError,
  tokenAuthenticator,
  usernamePasswordAuthenticator,
} from "@nats-io/transport-node";

import type { Clock } from "../clock.ts";
import { sleep } from "../clock.ts";
import type { NatsConnection } from "../connections.ts";
import type { Lease, Logger, OpenContext } from "../contracts.ts";
import { InfrastructureError, messageOf } from "../errors.ts";
import type { NatsAddress } from "./address.ts";
import { parseAddress } from "./address.ts";
import { Denials } from "./denials.ts";

/**
 * How long the first attempt to connect may take, and the longest of all, in milliseconds: a server, or a machine, that has too
 * much to do would never be reached by attempts that are all given up too soon.
 */
const CONNECT_TIMEOUT = 5000;
const LONGEST_CONNECT_TIMEOUT = 20_000;
/** The first and the longest wait between attempts, in milliseconds. */
const SHORTEST_WAIT = 100;
const LONGEST_WAIT = 5000;
/** How long `flushed` waits, in milliseconds. */
const FLUSH_TIMEOUT = 2000;
/** How often the server is asked for a sign of life, in milliseconds; it is given up after two without an answer. */
const PING_INTERVAL = 10_000;

/** Told when the connection comes (`client` given) and when it is away (`reason` given). It must not throw. */
export type LinkListener = (client: Client | undefined, reason: string | undefined) => void;

/** Leases the process's link to the servers of `context`. Settles at once: the link connects by itself, in the background. */
export function leaseLink(context: Pick<OpenContext, "connections" | "shared" | "logger" | "clock">): Promise<Lease<NatsLink>> {
  const { nats } = context.connections;
  const key = `nats ${JSON.stringify([nats.servers, nats.credentials])}`;
  return context.shared.lease(key, async () => new NatsLink(nats, context.logger, context.clock));
}

/**
 * A connection that is there again after every outage. While the servers are away it tries them in turn, for ever, waiting
 * longer each time up to 5 s, with one log line when they go away and one when they are back.
 *
 * Each time a new client is made instead of letting the client reconnect: what it had buffered for a server that is away
 * would be dropped in silence, and why a server can't be reached would not be told.
 */
export class NatsLink implements AsyncDisposable {
  /** What its user may not do. */
  readonly denials: Denials;
  readonly #addresses: NatsAddress[];
  readonly #credentials: string | undefined;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #listeners = new Set<LinkListener>();
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  #client: Client | undefined;
  #reason: string | undefined;

  constructor(settings: NatsConnection, logger: Logger, clock: Clock) {
    this.#addresses = settings.servers.map(parseAddress);
    this.#credentials = settings.credentials;
    this.#logger = logger;
    this.#clock = clock;
    this.denials = new Denials(clock);
    this.#running = this.#run();
  }

  /** The client while it is connected. */
  get client(): Client | undefined {
    return this.#client;
  }

  /** Why there is no client; undefined while connected, and before the first attempt has ended. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Calls `listener` on every change from now on, until the returned function is called. */
  watch(listener: LinkListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Waits until there is a client. Rejects with the reason of `signal` when that aborts first. */
  ready(signal: AbortSignal): Promise<Client> {
    if (signal.aborted) return Promise.reject(signal.reason as Error);
    if (this.#client !== undefined) return Promise.resolve(this.#client);
    if (this.#closing.signal.aborted) return Promise.reject(new InfrastructureError("the connection to NATS was closed"));
    return new Promise((resolve, reject) => {
      const settle = (act: () => void) => {
        unwatch();
        signal.removeEventListener("abort", abort);
        act();
      };
      const unwatch = this.watch((client) => client !== undefined && settle(() => resolve(client)));
      const abort = () => settle(() => reject(signal.reason as Error));
      signal.addEventListener("abort", abort, { once: true });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closing.abort();
    const client = this.#client;
    if (client !== undefined) {
      // A socket that fails while the client closes it would raise an error that nobody catches: let it fail first.
      await flushed(client);
      await client.close();
    }
    await this.#running;
    this.#listeners.clear();
    this.denials.forget();
  }

  async #run(): Promise<void> {
    const { signal } = this.#closing;
    for (let failures = 0; !signal.aborted;) {
      const client = await this.#connect(Math.min(CONNECT_TIMEOUT * 2 ** failures, LONGEST_CONNECT_TIMEOUT));
      if (client === undefined) {
        await this.#backOff(failures++);
        continue;
      }
      failures = 0;
      if (signal.aborted) await client.close();
      else await this.#use(client);
    }
  }

  /** Uses a client until it is closed. */
  async #use(client: Client): Promise<void> {
    this.#up(client);
    for await (const status of client.status()) {
      if (status.type !== "error") continue;
      const { error } = status;
      const news =
        error instanceof PermissionViolationError
          ? this.denials.note(error, client.getServer())
          : `NATS ${client.getServer()} reports: ${error.message}`;
      if (news !== undefined) this.#logger.warn({ system: "nats" }, news);
    }
    const error = await client.closed();
    if (!this.#closing.signal.aborted)
      this.#down(`${client.getServer()}: ${error instanceof Error ? error.message : "the connection was lost"}`);
    this.#client = undefined;
  }

  /**
   * Tries every server once, each time in another order.
   * @param timeout of each, in milliseconds
   */
  async #connect(timeout: number): Promise<Client | undefined> {
    const reasons: string[] = [];
    for (const address of shuffled(this.#addresses)) {
      if (this.#closing.signal.aborted) return undefined;
      try {
        const client = await this.#dial(address, timeout);
        this.#learn(client, address);
        return client;
      } catch (error) {
        reasons.push(`${address.shown}: ${reasonOf(error)}`);
      }
    }
    if (!this.#closing.signal.aborted) this.#down(reasons.sort().join("; "));
    return undefined;
  }

  async #dial(address: NatsAddress, timeout: number): Promise<Client> {
    // The client would say only that the connection failed.
    if (address.host !== undefined) await lookup(address.host);
    const { user, password, token } = address;
    const authenticators = [];
    if (user !== undefined) authenticators.push(usernamePasswordAuthenticator(user, password));
    if (token !== undefined) authenticators.push(tokenAuthenticator(token));
    if (this.#credentials !== undefined) authenticators.push(credsAuthenticator(new TextEncoder().encode(this.#credentials)));
    return connect({
      servers: [address.server],
      name: "millrace",
      reconnect: false,
      timeout,
      pingInterval: PING_INTERVAL,
      maxPingOut: 2,
      noAsyncTraces: true,
      authenticator: authenticators,
      ...(address.tls ? { tls: {} } : {}),
    });
  }

  /** A cluster tells of its other servers: they are tried too when this one goes away. */
  #learn(client: Client, from: NatsAddress): void {
    const known = new Set(this.#addresses.map((address) => address.server));
    for (const server of client.info?.connect_urls ?? []) {
      if (known.has(server)) continue;
      known.add(server);
      this.#addresses.push({ ...from, server, shown: `nats://${server}`, host: undefined });
    }
  }

  async #backOff(failures: number): Promise<void> {
    const wait = Math.min(SHORTEST_WAIT * 2 ** Math.min(failures, 10), LONGEST_WAIT);
    try {
      await sleep(wait * (0.8 + 0.4 * Math.random()), this.#closing.signal, this.#clock);
    } catch {
      // Closed meanwhile.
    }
  }

  #up(client: Client): void {
    if (this.#reason !== undefined) this.#logger.info({ system: "nats" }, `NATS is there: connected to ${client.getServer()}`);
    this.#client = client;
    this.#reason = undefined;
    this.denials.forget();
    this.#tell();
  }

  #down(reason: string): void {
    const news = this.#reason === undefined;
    this.#client = undefined;
    this.#reason = `NATS is away: ${reason}`;
    if (news) this.#logger.warn({ system: "nats" }, `${this.#reason}; trying again until it is there`);
    this.#tell();
  }

  #tell(): void {
    for (const listener of this.#listeners) listener(this.#client, this.#reason);
  }
}

/** Waits until the server has got everything that was sent, the client is closed, or the server takes too long. */
export async function flushed(client: Client): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const timer = setTimeout(resolve, FLUSH_TIMEOUT);
  client.flush().then(resolve, () => resolve());
  // A client that closes leaves a flush unsettled.
  void client.closed().then(() => resolve());
  await promise;
  clearTimeout(timer);
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map((item) => ({ item, order: Math.random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ item }) => item);
}

const REASONS: Readonly<Record<string, string>> = {
  ENOTFOUND: "the host name does not resolve",
  EAI_AGAIN: "the host name does not resolve (the name server does not answer)",
  ECONNREFUSED: "connection refused",
  ECONNRESET: "the connection was reset",
  EHOSTUNREACH: "the host can't be reached",
  ENETUNREACH: "the network can't be reached",
  ETIMEDOUT: "no answer",
};

function reasonOf(error: unknown): string {
  const code = typeof error === "object" && error !== null && "code" in error ? String(error.code) : "";
  return REASONS[code] ?? messageOf(error).toLowerCase();
}
