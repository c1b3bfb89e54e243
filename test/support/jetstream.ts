import type { TestContext } from "node:test";

import type { JetStreamManager, StreamConfig } from "@nats-io/jetstream";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import type { NatsConnection as Client } from "@nats-io/transport-node";
import { connect } from "@nats-io/transport-node";

import type { Batch, Event, Position } from "../../src/batch.ts";
import { systemClock } from "../../src/clock.ts";
import type { Connections } from "../../src/connections.ts";
import type { Logger, OpenContext, Partition, Sink, SinkSpec, Source, SourceSpec } from "../../src/contracts.ts";
import { PlannedStop } from "../../src/errors.ts";
import { openSharedResources } from "../../src/shared-resources.ts";
import { until } from "./until.ts";

const decoder = new TextDecoder();

/** What was logged, and what the instance said that it waits for. */
export class Notes implements Logger {
  readonly lines: string[] = [];
  /** Every reason that was told, undefined for "can work again". */
  readonly reasons: (string | undefined)[] = [];

  debug(_fields: object, _message: string): void {}
  info(_fields: object, message: string): void {
    this.lines.push(message);
  }
  warn(_fields: object, message: string): void {
    this.lines.push(message);
  }
  error(_fields: object, message: string): void {
    this.lines.push(message);
  }
  child(): Logger {
    return this;
  }
}

export interface ContextOptions {
  readonly task?: string;
  readonly instance?: number;
  readonly instances?: number;
  readonly mode?: OpenContext["mode"];
  readonly notes?: Notes;
  readonly signal?: AbortSignal;
  readonly credentials?: string;
}

/** What a source or sink is opened with in a process of its own: nothing is shared with other contexts. */
export function openContext(servers: string | readonly string[], options: ContextOptions = {}): OpenContext {
  const notes = options.notes ?? new Notes();
  const connections: Connections = {
    nats: { servers: [servers].flat(), credentials: options.credentials },
    kafka: { brokers: [], client: "platformatic", ssl: false, sasl: undefined },
    redis: { url: "" },
  };
  return {
    task: { id: options.task ?? "test", product: "test", instance: options.instance ?? 0, instances: options.instances ?? 1 },
    connections,
    shared: openSharedResources(),
    logger: notes,
    clock: systemClock,
    signal: options.signal ?? new AbortController().signal,
    mode: options.mode ?? "run",
    waiting: (reason) => void notes.reasons.push(reason),
  };
}

export interface ReaderOptions extends ContextOptions {
  readonly stateful?: boolean;
  /** Whether everything read is committed at once; default true. */
  readonly commit?: boolean;
  /** Nothing is committed, nor more read, before it settles. */
  readonly gate?: Promise<void>;
  /** Where to begin; default: the committed position. */
  readonly from?: Position;
}

/** An instance that reads a source, and commits what it has read. */
export class Reader implements AsyncDisposable {
  readonly notes: Notes;
  readonly events: Event[] = [];
  readonly batches: Batch[] = [];
  /** What ended it, other than a stop. */
  error: unknown;
  partition: Partition | undefined;
  /** How many partitions it was given. */
  partitions = 0;
  source: Source | undefined;
  readonly #stop = new AbortController();
  readonly #running: Promise<void>;
  readonly #options: ReaderOptions;

  constructor(address: string, spec: SourceSpec, options: ReaderOptions = {}) {
    this.notes = options.notes ?? new Notes();
    this.#options = options;
    this.#running = this.#run(openContext(address, { ...options, notes: this.notes }), spec).catch((error: unknown) => {
      this.error = error;
    });
  }

  /** The values as text, in the order in which they came. */
  get texts(): readonly string[] {
    return this.events.map(({ value }) => (value instanceof Uint8Array ? decoder.decode(value) : String(value)));
  }

  /** Asks it to stop, and waits until it has. */
  async stop(): Promise<void> {
    this.#stop.abort(new PlannedStop("test"));
    await this.#running;
  }

  /** Settles when it has ended. */
  get ended(): Promise<void> {
    return this.#running;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #run(context: OpenContext, spec: SourceSpec): Promise<void> {
    await using source = await spec.open(context, { stateful: this.#options.stateful === true });
    this.source = source;
    for await (const partition of source.partitions(this.#stop.signal)) {
      this.partitions++;
      this.partition = partition;
      const reading = this.#read(partition).catch((error: unknown) => {
        this.error = error;
        this.#stop.abort(new PlannedStop("failed"));
      });
      if (this.#stop.signal.aborted) await reading;
      this.#reading = reading;
    }
    await this.#reading;
  }

  #reading: Promise<void> | undefined;

  async #read(partition: Partition): Promise<void> {
    try {
      for await (const batch of partition.read(this.#options.from)) {
        this.batches.push(batch);
        this.events.push(...batch.events);
        await this.#options.gate;
        if (this.#options.commit !== false && !partition.signal.aborted) await partition.commit(batch.position);
      }
    } finally {
      await partition[Symbol.asyncDispose]();
    }
  }
}

/** A client that is not ours, closed after the test. */
export async function natsClient(t: TestContext, address: string): Promise<{ client: Client; manager: JetStreamManager }> {
  const client = await connect({
    servers: address.replace(/^\w+:\/\//, ""),

    maxReconnectAttempts: -1,
    reconnectTimeWait: 100,
  });
  t.after(() => client.close());
  return { client, manager: await jetstreamManager(client, { checkAPI: false }) };
}

/** A name that no other test uses; of letters, digits and hyphens. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${process.pid}-${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}`;
}

/** A stream of its own with the subjects `NAME.>`, deleted after the test. */
export async function makeStream(t: TestContext, address: string, config: Partial<StreamConfig> = {}): Promise<string> {
  const name = await makeStreamToStay(t, address, config);
  deleteAfter(t, address, name);
  return name;
}

/** The same on a server that is gone after the test. */
export async function makeStreamToStay(t: TestContext, address: string, config: Partial<StreamConfig> = {}): Promise<string> {
  const { manager } = await natsClient(t, address);
  const name = uniqueName("test");
  await manager.streams.add({ name, subjects: [`${name}.>`], ...config });
  return name;
}

/** Deletes a stream after the test, if it is there then. */
export function deleteAfter(t: TestContext, address: string, stream: string): void {
  t.after(async () => {
    // Through a client of its own: others of the test may be closed first.
    const client = await connect({ servers: address.replace(/^\w+:\/\//, "") });
    const manager = await jetstreamManager(client, { checkAPI: false });
    await manager.streams.delete(stream).catch(() => false);
    await client.close();
  });
}

/** Stores texts, in order, and waits until they are stored. */
export async function store(t: TestContext, address: string, subject: string, texts: readonly string[]): Promise<void> {
  const { client } = await natsClient(t, address);
  const js = jetstream(client);
  for (let start = 0; start < texts.length; start += 1000) {
    await Promise.all(texts.slice(start, start + 1000).map((text) => js.publish(subject, text)));
  }
}

/** All messages of a stream as text with their subjects and headers, read by the client alone. */
export async function stored(
  t: TestContext,
  address: string,
  stream: string,
): Promise<readonly { subject: string; text: string; headers: Readonly<Record<string, readonly string[]>> }[]> {
  const { client, manager } = await natsClient(t, address);
  const { state } = await manager.streams.info(stream);
  const consumer = await jetstream(client).consumers.get(stream);
  const found: { subject: string; text: string; headers: Record<string, string[]> }[] = [];
  if (state.messages === 0) return found;
  for await (const message of await consumer.consume({ max_messages: 1000 })) {
    const headers = Object.fromEntries(message.headers ?? []);
    found.push({ subject: message.subject, text: message.string(), headers });
    if (message.info.pending === 0) break;
  }
  return found;
}

/** Opens a sink, and closes it after the test. */
export async function openSink(t: TestContext, address: string, spec: SinkSpec, options: ContextOptions = {}): Promise<Sink> {
  const sink = await spec.open(openContext(address, options));
  t.after(() => sink[Symbol.asyncDispose]());
  return sink;
}

/** Numbers as texts, from `first` to before `end`. */
export function numbers(first: number, end: number): readonly string[] {
  return Array.from({ length: end - first }, (_, index) => String(first + index));
}

/** Waits until the server counts so many acknowledgements as outstanding. */
export async function ackPending(manager: JetStreamManager, stream: string, consumer: string, expected: number): Promise<void> {
  await until(
    `${expected} messages are unacknowledged`,
    async () => (await manager.consumers.info(stream, consumer)).num_ack_pending === expected,
  );
}
