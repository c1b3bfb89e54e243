import type { JetStreamApiError } from "@nats-io/jetstream";
import { z } from "zod";

import type { Event } from "../batch.ts";
import { sleep } from "../clock.ts";
import type { Lease, OpenContext, Refuse, Sink, SinkSpec } from "../contracts.ts";
import { DataError, InfrastructureError, messageOf, NotReadyError } from "../errors.ts";
import { JetStreamApi } from "../nats/api.ts";
import type { NatsLink } from "../nats/connection.ts";
import { leaseLink } from "../nats/connection.ts";
import { KEY_HEADER } from "../nats/events.ts";
import { encodeHeaders, headerLine, keyLine } from "../nats/headers.ts";
import type { Outgoing } from "../nats/publisher.ts";
import { Publisher } from "../nats/publisher.ts";
import { NAME_FORM } from "../nats/subjects.ts";
import type { Target } from "../nats/target.ts";
import { ensureTarget } from "../nats/target.ts";
import { ID_HEADER, ResultIds } from "../result-ids.ts";
import { encodeToken } from "../tokens.ts";
import { encoderFor } from "../values.ts";
import { JetStreamLetterBox } from "./letters/jetstream-box.ts";
import { throwRefused } from "./refused.ts";

const KIND = "jetstream";
const KEY = "{key}";
/** Calls of one partition under way together: while one waits for its confirmations, the next ones fill the window. */
const MAX_IN_FLIGHT = 8;
/** How long opening waits for an absent server; longer is waited at the first write. In milliseconds. */
const OPEN_PATIENCE = 2000;
const ENCODER = new TextEncoder();
const EMPTY = new Uint8Array(0);

/** Headers that mean something to the server, and the id of the record that an event came from: its result has another. */
const NOT_PASSED_ON = new RegExp(`^(nats-|${ID_HEADER}$)`, "i");

const FOR_THE_SERVER = /^nats-/i;

/** JetStream: the message is larger than the stream takes. */
const MESSAGE_TOO_LARGE = 10_054;

/** Settings of the JetStream sink. */
export const jetstreamSinkConfig = z
  .strictObject({
    subject: z
      .string()
      .regex(/^[^\s.*>]+(\.[^\s.*>]+)*$/, "is no subject to publish to: tokens with dots between, without spaces and wildcards")
      .describe("where messages go; {key} stands for the event's key, percent-encoded into one token"),
    stream: z
      .string()
      .regex(NAME_FORM, "is no name of a stream: no spaces, dots, *, >, / or \\")
      .optional()
      .describe("the stream that takes the subject; needed to create it"),
    create: z.boolean().default(false).describe("make the stream when it is missing"),
    format: z
      .enum(["json", "text", "bytes", "msgpack"])
      .optional()
      .describe("how values that are neither bytes nor text are written; default JSON"),
    key: z
      .union([z.literal("none"), z.strictObject({ header: z.string().regex(/^[!#-9;-~]+$/, "is no name of a header") })])
      .default({ header: KEY_HEADER })
      .describe("the header that carries the event's key, or none"),
    window: z
      .int()
      .min(1)
      .max(100_000)
      .default(4096)
      .describe("messages that may be unconfirmed; 1 keeps order also when a cluster changes its leader"),
    windowBytes: z
      .int()
      .min(65_536)
      .default(8 * 1_048_576)
      .describe("bytes that may be unconfirmed"),
  })
  .refine(({ create, stream }) => !create || stream !== undefined, { error: "to create the stream its name is needed", path: ["stream"] });

/** Settings of `jetstreamSink`: the subject, and what is to differ from the defaults. */
export type JetStreamSinkSettings = z.input<typeof jetstreamSinkConfig>;

type Config = z.output<typeof jetstreamSinkConfig>;

/**
 * Stores each event as a message. Bytes and text are written as they are, anything else as JSON unless `format` says
 * otherwise, null and undefined as an empty payload. Headers go along, except those that mean something to the server
 * (`Nats-…`) and the id of the record that it came from; the key goes into a header.
 *
 * A message carries an id (`Nats-Msg-Id`) that is the same when the event is written again, so that the stream drops the
 * repeat within its duplicate window (2 minutes by default). Two sinks of one task with the same subject are one to it.
 *
 * Order of a partition is kept, also over lost connections. Only where a cluster takes a message and its leader drops it,
 * that message comes after up to `window` later ones when it is sent again; `window: 1` excludes that.
 * @throws {z.ZodError} when the settings are wrong
 */
export function jetstreamSink(settings: JetStreamSinkSettings): SinkSpec {
  const config = jetstreamSinkConfig.parse(settings);
  return {
    kind: KIND,
    description: { subject: config.subject, stream: config.stream, format: config.format },
    open: (context) => open(config, context, NOT_PASSED_ON),
    openLetters: async (context) => {
      // The key is among what the letter says of itself.
      const sink = await open({ ...config, format: undefined, key: "none" }, context, FOR_THE_SERVER);
      const subject = { pattern: patternOf(config.subject), stream: config.stream };
      return new JetStreamLetterBox(subject, sink, await leaseLink(context), context);
    },
  };
}

/** @param dropped names of headers that are not passed on */
async function open(config: Config, context: OpenContext, dropped: RegExp): Promise<Sink> {
  const sink = new JetStreamSink(config, context, await leaseLink(context), dropped);
  try {
    await sink.prepare();
    return sink;
  } catch (error) {
    await sink[Symbol.asyncDispose]();
    throw error;
  }
}

/** The subject with wildcards in the place of keys. */
function patternOf(subject: string): string {
  return subject
    .split(".")
    .map((token) => (token.includes(KEY) ? "*" : token))
    .join(".");
}

class JetStreamSink implements Sink {
  readonly maxInFlight = MAX_IN_FLIGHT;
  readonly #config: Config;
  readonly #dropped: RegExp;
  readonly #context: OpenContext;
  readonly #lease: Lease<NatsLink>;
  readonly #api: JetStreamApi;
  readonly #publisher: Publisher;
  readonly #ids: ResultIds;
  readonly #encode: (value: unknown) => Uint8Array | string | null;
  readonly #keyHeader: string | undefined;
  readonly #keyed: boolean;
  /** The subject with wildcards in the place of keys. */
  readonly #pattern: string;
  readonly #unwatch: readonly (() => void)[];
  #prepared = false;
  #target: Target | undefined;
  #refusing = false;
  /** Why this user may not publish there. */
  #denied: string | undefined;

  constructor(config: Config, context: OpenContext, lease: Lease<NatsLink>, dropped: RegExp) {
    const link = lease.resource;
    this.#config = config;
    this.#dropped = dropped;
    this.#context = context;
    this.#lease = lease;
    this.#api = new JetStreamApi(link, context.clock, (reason) => context.waiting(reason));
    this.#publisher = new Publisher(
      link,
      { messages: config.window, bytes: config.windowBytes },
      context.clock,
      () =>
        this.#report(
          this.#denied ??
            `JetStream does not confirm messages on ${config.subject}: it does not answer, or this user may not publish there`,
        ),
      (count) => this.#tellRepeats(count),
    );
    this.#ids = new ResultIds(context.task.id, `${context.part ?? "sink"}:${encodeToken(config.subject)}`);
    this.#encode = encoderFor(config.format);
    this.#keyHeader = config.key === "none" ? undefined : config.key.header;
    this.#keyed = config.subject.includes(KEY);
    this.#pattern = patternOf(config.subject);
    this.#unwatch = [
      link.watch((_, reason) => context.waiting(reason)),
      link.denials.watch(this.#pattern, "no message can be stored there", (reason) => {
        this.#denied = reason;
        if (reason !== undefined) this.#report(reason);
      }),
    ];
    if (link.reason !== undefined) context.waiting(link.reason);
  }

  /** Finds the stream, if a server is there. @throws {NotReadyError} when there is none */
  async prepare(): Promise<void> {
    const { clock, signal } = this.#context;
    const patience = new AbortController();
    const cancel = clock.after(OPEN_PATIENCE, () => patience.abort());
    try {
      await this.#prepare(AbortSignal.any([signal, patience.signal]));
    } catch (error) {
      if (!patience.signal.aborted) throw error;
    } finally {
      cancel();
    }
  }

  async write(events: readonly Event[], signal: AbortSignal, refuse: Refuse = throwRefused): Promise<void> {
    if (!this.#prepared) await this.#prepare(signal);
    const largest =
      (this.#lease.resource.client ?? (await this.#lease.resource.ready(signal))).info?.max_payload ?? Number.POSITIVE_INFINITY;
    const messages: Outgoing[] = [];
    const sent: Event[] = [];
    let end: { readonly thrown: unknown } | undefined;
    for (const event of events) {
      try {
        const message = this.#messageOf(event, largest, refuse);
        if (message === undefined) continue;
        messages.push(message);
        sent.push(event);
      } catch (thrown) {
        end = { thrown };
        break;
      }
    }
    const judge = (message: Outgoing, refusal: JetStreamApiError | "no responders") => {
      const event = sent[messages.indexOf(message)];
      return this.#judge(message, event, refusal, signal);
    };
    await this.#publisher.publish(messages, judge, signal);
    if (this.#refusing) this.#report(undefined);
    if (end !== undefined) throw end.thrown;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const unwatch of this.#unwatch) unwatch();
    await this.#publisher[Symbol.asyncDispose]();
    await this.#lease[Symbol.asyncDispose]();
  }

  async #prepare(signal: AbortSignal): Promise<void> {
    const { stream, create } = this.#config;
    this.#target = await ensureTarget(this.#api, signal, { subject: this.#pattern, stream, create });
    this.#prepared = true;
  }

  /** The message of an event; undefined when it can't be one and is to be left out. */
  #messageOf(event: Event, largest: number, refuse: Refuse): Outgoing | undefined {
    try {
      return this.#message(event, largest);
    } catch (error) {
      refuse(event, new DataError(KIND, event, error));
      return undefined;
    }
  }

  #message(event: Event, largest: number): Outgoing {
    const { subject } = this.#config;
    const encoded = this.#encode(event.value);
    const payload = encoded === null ? EMPTY : typeof encoded === "string" ? ENCODER.encode(encoded) : encoded;
    const headers = this.#headers(event);
    const size = payload.length + headers.length;
    if (size > largest) throw new RangeError(`the message has ${size} bytes with its headers; NATS takes at most ${largest} (max_payload)`);
    const target = this.#target;
    // The server would say so as well, but only after taking those behind it.
    if (target?.largest !== undefined && size > target.largest)
      throw new RangeError(
        `the message has ${size} bytes with its headers; stream "${target.stream}" takes at most ${target.largest} (max_msg_size)`,
      );
    return { subject: this.#keyed ? subject.replaceAll(KEY, keyToken(event.key)) : subject, payload, headers };
  }

  #headers(event: Event): Uint8Array {
    let lines = `Nats-Msg-Id: ${this.#ids.of(event)}\r\n`;
    if (event.key !== undefined && this.#keyHeader !== undefined) lines += keyLine(this.#keyHeader, event.key);
    if (event.headers !== undefined) {
      for (const [name, value] of event.headers)
        if (name !== this.#keyHeader && !this.#dropped.test(name)) lines += headerLine(name, value);
    }
    return encodeHeaders(lines);
  }

  /** What to do about a message that the server refused. */
  async #judge(
    message: Outgoing,
    event: Event | undefined,
    refusal: JetStreamApiError | "no responders",
    signal: AbortSignal,
  ): Promise<Error | undefined> {
    if (refusal === "no responders") {
      try {
        // JetStream may be starting, or a cluster be without a leader: wait until it answers.
        await sleep(1, signal, this.#context.clock);
        await ensureTarget(this.#api, signal, { subject: message.subject, stream: this.#config.stream, create: false });
        return undefined;
      } catch (error) {
        return error instanceof NotReadyError ? error : new InfrastructureError(messageOf(error), { cause: error });
      }
    }
    if (refusal.code === MESSAGE_TOO_LARGE) return new DataError(KIND, event, `the stream refuses it: ${refusal.message} (max_msg_size)`);
    const reason = `the stream refuses messages on ${message.subject}: ${refusal.message} (${refusal.code})`;
    if (refusal.status !== 503) return new InfrastructureError(reason, { cause: refusal });
    this.#report(reason);
    return undefined;
  }

  /** After a restart that is as it should be; when the product was changed meanwhile, what it makes now is missing. */
  #tellRepeats(count: number): void {
    const { logger } = this.#context;
    const { subject } = this.#config;
    const dropped = count === 1 ? "1 message" : `${count} messages`;
    const why = "it has messages with the same ids from within its duplicate window";
    logger.info({ subject, count }, `the stream dropped ${dropped} on ${subject} as repeats: ${why}`);
  }

  /** Tells the operator, once each time that it changes, whether the stream takes messages. */
  #report(reason: string | undefined): void {
    const { logger } = this.#context;
    const refusing = reason !== undefined;
    if (refusing !== this.#refusing) {
      if (refusing) logger.warn({ subject: this.#config.subject }, `${reason}; sending them again until it does`);
      else logger.info({ subject: this.#config.subject }, "the stream takes messages again");
    }
    this.#refusing = refusing;
    this.#context.waiting(reason);
  }
}

function keyToken(key: string | undefined): string {
  if (key === undefined || key === "") throw new TypeError(`the subject has ${KEY} in it, but the event has no key`);
  return encodeToken(key);
}
