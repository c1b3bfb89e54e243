import type { JetStreamManager, StreamConfig, StreamInfo } from "@nats-io/jetstream";
import { DiscardPolicy, JetStreamApiError, jetstreamManager, RetentionPolicy, StorageType } from "@nats-io/jetstream";
import type { NatsConnection as Client } from "@nats-io/transport-node";
import { headers } from "@nats-io/transport-node";

/** A key-value bucket of JetStream, as the `nats kv` commands see it: entries with revisions, written by compare-and-set. */
import { abortable } from "../abortable.ts";
import type { Clock } from "../clock.ts";
import { within } from "../clock.ts";
import { ConfigError, InfrastructureError, messageOf, MillraceError } from "../errors.ts";
import { isDenied, isMissing } from "./api.ts";
import type { NatsLink } from "./connection.ts";

/** How long connecting and each request may take, in milliseconds. */
const PATIENCE = 5000;
const OPERATION = "KV-Operation";
/** JetStream's codes for "the subject's last message is another", of nats-server's errors.json. */
const WRONG_REVISION: ReadonlySet<number> = new Set([10071, 10164]);

/** What a key has. */
export interface KvEntry {
  /** Never the same twice in a bucket, also when a key was deleted and made anew. */
  readonly revision: number;
  readonly value: Uint8Array;
  /** It was deleted; the entry that says so is still there. */
  readonly deleted: boolean;
}

interface Opened {
  readonly client: Client;
  /** Settles when the bucket is there. */
  readonly manager: Promise<JetStreamManager>;
  /** Aborts when the client is closed. */
  readonly lost: AbortSignal;
}

/** A bucket. Every call rejects with an InfrastructureError within seconds while NATS is away. */
export class KvBucket {
  readonly #link: NatsLink;
  readonly #name: string;
  readonly #stream: string;
  readonly #leastPayload: number;
  readonly #clock: Clock;
  /** The client for which the bucket was looked at. */
  #opened: Opened | undefined;
  readonly #lost = new WeakMap<Client, AbortSignal>();

  /** @param leastPayload bytes that a message must be able to have */
  constructor(link: NatsLink, name: string, leastPayload: number, clock: Clock) {
    this.#link = link;
    this.#name = name;
    this.#stream = `KV_${name}`;
    this.#leastPayload = leastPayload;
    this.#clock = clock;
  }

  /** The last entry of a key, as the bucket's leader has it. */
  get(key: string): Promise<KvEntry | undefined> {
    return this.#ask(async (manager) => {
      const message = await manager.streams.getMessage(this.#stream, { last_by_subj: this.#subject(key) });
      if (message === null) return undefined;
      const operation = message.header.get(OPERATION);
      return { revision: message.seq, value: message.data, deleted: operation === "DEL" || operation === "PURGE" };
    });
  }

  /** The value of a key that is written only once: any server of a cluster may have it. */
  getWritten(key: string): Promise<Uint8Array | undefined> {
    return this.#ask(async (manager) => {
      const query = { last_by_subj: this.#subject(key) };
      // A bucket that others made may not allow it, and a server that lags behind has it not yet: then its leader is asked.
      const near = await manager.direct.getMessage(this.#stream, query).catch(() => null);
      const message = near ?? (await manager.streams.getMessage(this.#stream, query));
      return message === null || message.header?.has(OPERATION) ? undefined : message.data;
    });
  }

  /** Writes a key, whatever it has. */
  put(key: string, value: Uint8Array): Promise<number> {
    return this.#ask(async (manager) => (await manager.jetstream().publish(this.#subject(key), value, { timeout: PATIENCE })).seq);
  }

  /**
   * Writes a key if its last entry still has that revision; 0: if it has none.
   * @returns the new revision, or undefined when it has another
   */
  update(key: string, value: Uint8Array, revision: number): Promise<number | undefined> {
    return this.#write(key, value, { expect: { lastSubjectSequence: revision } });
  }

  /** Marks a key as deleted, like `update`; without a revision whatever it has. @returns the revision of the mark */
  delete(key: string, revision?: number): Promise<number | undefined> {
    const mark = headers();
    mark.set(OPERATION, "DEL");
    const expect = revision === undefined ? {} : { expect: { lastSubjectSequence: revision } };
    return this.#write(key, new Uint8Array(), { ...expect, headers: mark });
  }

  /** Takes entries away, of all revisions before `revision` if that is given. @param filter a key, or one with `*` and `>` */
  purge(filter: string, revision?: number): Promise<void> {
    const before = revision === undefined ? {} : { seq: revision };
    return this.#ask(async (manager) => void (await manager.streams.purge(this.#stream, { filter: this.#subject(filter), ...before })));
  }

  /** The keys of a filter, also those that are marked as deleted. */
  keys(filter: string): Promise<readonly string[]> {
    return this.#ask(async (manager) => {
      const { state } = await manager.streams.info(this.#stream, { subjects_filter: this.#subject(filter) });
      return Object.keys(state.subjects ?? {}).map((subject) => subject.slice(this.#subject("").length));
    });
  }

  #subject(key: string): string {
    return `$KV.${this.#name}.${key}`;
  }

  #write(
    key: string,
    value: Uint8Array,
    options: { readonly expect?: { readonly lastSubjectSequence: number }; readonly headers?: ReturnType<typeof headers> },
  ): Promise<number | undefined> {
    return this.#ask(async (manager) => {
      try {
        return (await manager.jetstream().publish(this.#subject(key), value, { ...options, timeout: PATIENCE })).seq;
      } catch (error) {
        if (error instanceof JetStreamApiError && WRONG_REVISION.has(error.code)) return undefined;
        throw error;
      }
    });
  }

  async #ask<T>(request: (manager: JetStreamManager) => Promise<T>): Promise<T> {
    const client = await this.#connected();
    const opened = this.#openedFor(client);
    try {
      return await abortable(opened.manager.then(request), opened.lost);
    } catch (error) {
      if (this.#opened?.client === client) this.#opened = undefined;
      throw error instanceof MillraceError ? error : this.#failure(error, client);
    }
  }

  async #connected(): Promise<Client> {
    const { client, reason } = this.#link;
    if (client !== undefined) return client;
    if (reason !== undefined) throw new InfrastructureError(reason);
    const giveUp = new AbortController();
    const ready = this.#link.ready(giveUp.signal);
    try {
      // Nothing is known yet: it is being connected for the first time.
      const failed = new Promise<void>((resolve) => {
        const unwatch = this.#link.watch(() => resolve());
        giveUp.signal.addEventListener("abort", unwatch, { once: true });
      });
      await within(Promise.race([ready, failed]), PATIENCE, this.#clock);
      if (this.#link.client !== undefined) return this.#link.client;
      throw new InfrastructureError(this.#link.reason ?? `NATS is away: no connection within ${PATIENCE} ms`);
    } finally {
      ready.catch(() => undefined);
      giveUp.abort();
    }
  }

  #openedFor(client: Client): Opened {
    if (this.#opened?.client !== client) this.#opened = { client, manager: this.#open(client), lost: this.#lostOf(client) };
    return this.#opened;
  }

  /** One for each client, however often the bucket is looked at. */
  #lostOf(client: Client): AbortSignal {
    const known = this.#lost.get(client);
    if (known !== undefined) return known;
    const lost = new AbortController();
    this.#lost.set(client, lost.signal);
    void client.closed().then((error) => lost.abort(error instanceof Error ? error : new Error("the connection was lost")));
    return lost.signal;
  }

  /** Makes the bucket if it is missing, and looks whether it loses nothing. */
  async #open(client: Client): Promise<JetStreamManager> {
    const most = client.info?.max_payload ?? 0;
    if (most < this.#leastPayload) {
      const what = `takes messages of ${most} bytes, too few for the bucket ${this.#name}: set its max_payload to ${this.#leastPayload} or more`;
      throw new ConfigError([{ where: client.getServer(), what }]);
    }
    const manager = await jetstreamManager(client, { checkAPI: false, timeout: PATIENCE });
    const { config } = await this.#streamInfo(manager);
    const fault = faultOf(config);
    if (fault !== undefined) throw new ConfigError([{ where: `the NATS bucket ${this.#name}`, what: fault }]);
    return manager;
  }

  async #streamInfo(manager: JetStreamManager): Promise<StreamInfo> {
    try {
      return await manager.streams.info(this.#stream);
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
    // The same as `nats kv add` makes; several who make it at once ask for the same.
    return await manager.streams.add({
      name: this.#stream,
      subjects: [this.#subject(">")],
      storage: StorageType.File,
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.New,
      max_msgs_per_subject: 1,
      allow_rollup_hdrs: true,
      allow_direct: true,
      deny_delete: true,
      num_replicas: 1,
    });
  }

  #failure(error: unknown, client: Client): Error {
    const at = `the NATS bucket ${this.#name} on ${client.getServer()}`;
    if (isDenied(error)) {
      const what = `permission denied: let the user publish to $KV.${this.#name}.> and $JS.API.*.*.${this.#stream} (${error.message})`;
      return new InfrastructureError(`${at}: ${what}`, { cause: error });
    }
    if (error instanceof JetStreamApiError)
      return new InfrastructureError(`${at}: JetStream refused: ${error.message} (${error.code})`, { cause: error });
    return new InfrastructureError(`${at} does not answer: ${messageOf(error)}`, { cause: error });
  }
}

/** Why a bucket would lose what it was given, or undefined. */
function faultOf({ max_age, discard, max_bytes, max_msgs, retention }: StreamConfig): string | undefined {
  const limited = (max_bytes > 0 || max_msgs > 0) && discard !== DiscardPolicy.New;
  if (max_age > 0) return "forgets entries after a time (its TTL): make one without";
  if (limited) return "throws old entries away when it is full: set its discard policy to new";
  return retention === RetentionPolicy.Limits ? undefined : `has the retention policy ${retention}: it must be limits`;
}
