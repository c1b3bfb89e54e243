import type { Event } from "../../batch.ts";
import type { OpenContext, Sink } from "../../contracts.ts";
import type { DeadLetter, LetterBox } from "../../dead-letter.ts";
import type { ConsumerContext } from "../../kafka/consumer.ts";
import { headersOf, letterOfHeaders, ownFields, RESOLVED } from "./headers.ts";
import { eventOf, writeLetters } from "./sink-writer.ts";

/** The last offset by partition. */
type Places = Map<number, number>;

/** What the log has of one letter. */
interface Known {
  key: string | undefined;
  /** Where the one is that counts. */
  partition: number;
  offset: number;
  lastFailure: number;
  readonly places: Places;
}

/**
 * Dead letters in a topic. A letter is a record with the original's value, key and headers; it is taken away by a record with
 * the same key, without a value, whose headers name its id and the offsets up to which it is gone. So what fails again
 * afterwards is there again, whatever the clocks say. Needs a topic that is not compacted. Reading goes through the
 * whole log twice and holds the ids of its letters in memory.
 */
export class KafkaLetterBox implements LetterBox {
  readonly #topic: string;
  readonly #sink: Sink;
  readonly #context: OpenContext;
  /** What was read last, by task and id; without what was written since. */
  #known = new Map<string, Map<string, Known>>();

  /** @param sink writes bytes to the topic as they are; it belongs to the box */
  constructor(topic: string, sink: Sink, context: OpenContext) {
    this.#topic = topic;
    this.#sink = sink;
    this.#context = context;
  }

  async write(letters: readonly DeadLetter[], signal: AbortSignal): Promise<void> {
    for (const { task, id } of letters) this.#known.get(task)?.delete(id);
    await writeLetters(this.#sink, letters, written, signal);
  }

  async *read(task: string, signal: AbortSignal): AsyncGenerator<DeadLetter> {
    const known = await this.#scan(task, signal);
    if (known.size === 0) return;
    let left = known.size;
    for await (const event of this.#log(signal)) {
      const letter = letterOfHeaders(event.headers, event.value);
      if (letter?.task !== task) continue;
      const counts = known.get(letter.id);
      if (counts?.partition !== event.origin.partition || counts?.offset !== event.offset) continue;
      yield letter;
      left -= 1;
      if (left === 0) return;
    }
  }

  async resolve(task: string, ids: readonly string[], signal: AbortSignal): Promise<void> {
    if (ids.length === 0) return;
    const before = this.#known.get(task);
    const known = before !== undefined && ids.every((id) => before.has(id)) ? before : await this.#scan(task, signal);
    const time = this.#context.clock.now();
    const events = ids.flatMap((id) => {
      const letter = known.get(id);
      return letter === undefined ? [] : [eventOf({ name: id, value: null, key: letter.key, headers: resolution(task, id, letter), time })];
    });
    await this.#sink.write(events, signal);
    for (const id of ids) known.delete(id);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#sink[Symbol.asyncDispose]();
  }

  /** The letters of a task that are not taken away, by id. */
  async #scan(task: string, signal: AbortSignal): Promise<Map<string, Known>> {
    const found = new Map<string, Known>();
    const gone = new Map<string, Places>();
    for await (const { headers, value, origin, offset } of this.#log(signal)) {
      const fields = ownFields(headers);
      if (fields["task"] !== task) continue;
      const { resolved } = fields;
      if (resolved !== undefined) {
        raise(placesOf(gone, resolved), fields["places"]);
        continue;
      }
      const letter = letterOfHeaders(headers, value);
      if (letter !== undefined) note(found, letter, origin.partition ?? 0, offset);
    }
    for (const [id, places] of gone) {
      const letter = found.get(id);
      if (letter !== undefined && letter.offset <= (places.get(letter.partition) ?? -1)) found.delete(id);
    }
    this.#known.set(task, found);
    return found;
  }

  async *#log(signal: AbortSignal): AsyncGenerator<Event<Uint8Array | null>> {
    const { readLog } = await import("../../kafka/log-reader.ts");
    const { connections, shared, logger, clock, task } = this.#context;
    const context: ConsumerContext = {
      connection: connections.kafka,
      shared,
      clientId: `millrace-${task.id}-letters`,
      logger,
      clock,
      signal: AbortSignal.any([signal, this.#context.signal]),
      waiting: (reason) => this.#context.waiting(reason),
    };
    yield* readLog(this.#topic, context);
  }
}

function written(letter: DeadLetter) {
  return { name: letter.id, value: letter.value, key: letter.key, headers: headersOf(letter), time: letter.lastFailure };
}

function resolution(task: string, id: string, { places }: Known) {
  return [
    [RESOLVED, id],
    ["millrace-task", task],
    ["millrace-places", JSON.stringify([...places])],
  ] as const;
}

function placesOf(gone: Map<string, Places>, id: string): Places {
  const places = gone.get(id) ?? new Map<number, number>();
  gone.set(id, places);
  return places;
}

/** What says nothing of places takes nothing away. */
function raise(places: Places, text: string | undefined): void {
  for (const [partition, offset] of placesIn(text)) places.set(partition, Math.max(offset, places.get(partition) ?? -1));
}

function placesIn(text: string | undefined): readonly (readonly [number, number])[] {
  try {
    const json: unknown = JSON.parse(text ?? "[]");
    const isPair = (pair: unknown) => Array.isArray(pair) && pair.length === 2 && pair.every(Number.isSafeInteger);
    return Array.isArray(json) && json.every(isPair) ? (json as [number, number][]) : [];
  } catch {
    return [];
  }
}

/** Of letters with the same id the one that failed last counts, in one partition the later one. */
function note(found: Map<string, Known>, { id, key, lastFailure }: DeadLetter, partition: number, offset: number): void {
  const before = found.get(id);
  if (before === undefined) {
    found.set(id, { key, partition, offset, lastFailure, places: new Map([[partition, offset]]) });
    return;
  }
  before.places.set(partition, offset);
  if (partition === before.partition || lastFailure >= before.lastFailure) Object.assign(before, { key, partition, offset, lastFailure });
}
