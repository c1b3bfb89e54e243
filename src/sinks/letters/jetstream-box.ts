import type { Lease, OpenContext, Sink } from "../../contracts.ts";
import type { DeadLetter, LetterBox } from "../../dead-letter.ts";
import { MillraceError } from "../../errors.ts";
import { JetStreamApi } from "../../nats/api.ts";
import type { NatsLink } from "../../nats/connection.ts";
import { EventMaker } from "../../nats/events.ts";
import type { StoredMessages } from "../../nats/stored-messages.ts";
import { deleteStored, readStored } from "../../nats/stored-messages.ts";
import { ensureTarget } from "../../nats/target.ts";
import { letterOfMessage, natsHeadersOf } from "./nats-headers.ts";
import { writeLetters } from "./sink-writer.ts";

/** What stands for `{key}` in the subject where a letter has no key. */
const NO_KEY = "none";

/** The messages of one letter. */
interface Known {
  /** The one that counts. */
  counts: number;
  readonly sequences: number[];
}

/** Where the box is. */
export interface LetterSubject {
  /** With wildcards in the place of keys. */
  readonly pattern: string;
  readonly stream: string | undefined;
}

/**
 * Dead letters in a stream. A letter is a message with the original's value and headers, and its place besides; it is taken
 * away by deleting it, so that the stream has those only that are still to be seen to. Reading goes through the subject twice and
 * holds the ids of its letters in memory.
 */
export class JetStreamLetterBox implements LetterBox {
  readonly #subject: LetterSubject;
  readonly #sink: Sink;
  readonly #lease: Lease<NatsLink>;
  readonly #context: OpenContext;
  readonly #api: JetStreamApi;
  #stored: StoredMessages | undefined;

  /** @param sink writes bytes as they are, with all headers; sink and lease belong to the box */
  constructor(subject: LetterSubject, sink: Sink, lease: Lease<NatsLink>, context: OpenContext) {
    this.#subject = subject;
    this.#sink = sink;
    this.#lease = lease;
    this.#context = context;
    this.#api = new JetStreamApi(lease.resource, context.clock, (reason) => context.waiting(reason));
  }

  write(letters: readonly DeadLetter[], signal: AbortSignal): Promise<void> {
    return writeLetters(this.#sink, letters, written, signal);
  }

  async *read(task: string, signal: AbortSignal): AsyncGenerator<DeadLetter> {
    const known = await this.#scan(task, signal);
    let left = known.size;
    if (left === 0) return;
    for await (const { headers, value, offset } of readStored(this.#api, await this.#messages(signal), signal)) {
      const letter = letterOfMessage(headers, value);
      if (letter?.task !== task || known.get(letter.id)?.counts !== offset) continue;
      yield letter;
      left -= 1;
      if (left === 0) return;
    }
  }

  async resolve(task: string, ids: readonly string[], signal: AbortSignal): Promise<void> {
    if (ids.length === 0) return;
    const known = await this.#scan(task, signal);
    const { stream } = await this.#messages(signal);
    const sequences = ids.flatMap((id) => known.get(id)?.sequences ?? []);
    await deleteStored(this.#api, stream, sequences, signal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sink[Symbol.asyncDispose]();
    await this.#lease[Symbol.asyncDispose]();
  }

  async #scan(task: string, signal: AbortSignal): Promise<ReadonlyMap<string, Known>> {
    const known = new Map<string, Known>();
    for await (const { headers, value, offset } of readStored(this.#api, await this.#messages(signal), signal)) {
      const letter = letterOfMessage(headers, value);
      if (letter?.task !== task) continue;
      const before = known.get(letter.id);
      if (before === undefined) known.set(letter.id, { counts: offset, sequences: [offset] });
      else {
        before.counts = offset;
        before.sequences.push(offset);
      }
    }
    return known;
  }

  async #messages(signal: AbortSignal): Promise<StoredMessages> {
    if (this.#stored !== undefined) return this.#stored;
    const { pattern: subject, stream: given } = this.#subject;
    const stream = given ?? (await ensureTarget(this.#api, signal, { subject, stream: undefined, create: false }))?.stream;
    if (stream === undefined)
      throw new MillraceError(`dead letters on "${subject}" can't be read: several streams take the subject; name the \`stream\``);
    this.#stored = { stream, subject, events: new EventMaker(stream, "subject"), clock: this.#context.clock };
    return this.#stored;
  }
}

function written(letter: DeadLetter) {
  const { id, attempts, lastFailure, key } = letter;
  return {
    // The stream drops repeats by that: a letter that comes again after it was resolved is none.
    name: `${id}:${attempts}:${lastFailure}`,
    value: letter.value,
    key: key === undefined || key === "" ? NO_KEY : key,
    headers: natsHeadersOf(letter),
    time: lastFailure,
  };
}
