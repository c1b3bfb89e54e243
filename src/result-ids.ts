import type { Event, Origin } from "./batch.ts";
import { encodeToken } from "./tokens.ts";

/** The last record of an origin that had events, and what its events were called so far. */
interface Last {
  readonly prefix: string;
  offset: number;
  /** Its first event. */
  event: Event;
  /** The name of its first event. Most records have one. */
  first: string;
  /** How many events have each name; undefined while there is but one event. */
  names: Map<string, number> | undefined;
}

/** The header that carries a result's id. */
export const ID_HEADER = "millrace-id";

/**
 * Ids of results that are the same when the same event is written again, and differ for different ones: task, sink, where
 * the event came from, its offset, time and key (windows that begin with the same record differ in those), and a number
 * for the results of one event. They don't depend on where batches or runs begin: a run begins with the first result of a record.
 */
export class ResultIds {
  readonly #prefix: string;
  readonly #last = new WeakMap<Origin, Last>();
  /** Of records with several results: an event that is written again, alone, keeps its number. */
  readonly #numbered = new WeakMap<Event, string>();
  #severalSeen = false;

  /** @param sink tells the sinks of a task apart */
  constructor(task: string, sink: string) {
    this.#prefix = `${task}:${sink}`;
  }

  /** The id of a result. To be asked for each, in the order of its partition; again for the same object it is the same. */
  of(event: Event): string {
    const { origin, offset, time, key } = event;
    const name = `${offset}:${time}:${key === undefined ? "" : encodeToken(key)}`;
    let last = this.#last.get(origin);
    if (last?.offset !== offset) {
      const before = this.#severalSeen ? this.#numbered.get(event) : undefined;
      if (before !== undefined) return before;
      if (last === undefined) {
        last = { prefix: this.#prefixOf(origin), offset, event, first: name, names: undefined };
        this.#last.set(origin, last);
      }
      last.offset = offset;
      last.event = event;
      last.first = name;
      last.names = undefined;
      return last.prefix + name;
    }
    if (last.event === event) return last.prefix + last.first;
    const before = this.#numbered.get(event);
    if (before !== undefined) return before;
    // Not only neighbours can have the same name: of the words of one record each may be the key of an event.
    last.names ??= new Map([[last.first, 1]]);
    const index = last.names.get(name) ?? 0;
    last.names.set(name, index + 1);
    const id = index === 0 ? last.prefix + name : `${last.prefix}${name}:${index}`;
    this.#numbered.set(event, id);
    this.#severalSeen = true;
    return id;
  }

  #prefixOf({ system, name, partition, edition }: Origin): string {
    const place = `${encodeToken(name)}${edition === undefined ? "" : `@${edition}`}${partition === undefined ? "" : `/${partition}`}`;
    return `${this.#prefix}:${system}:${place}:`;
  }
}
