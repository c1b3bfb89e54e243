import type { Event, Origin } from "../batch.ts";
import { encodeToken } from "./subjects.ts";

/** The last record of an origin that had events, and what its events were called so far. */
interface Last {
  readonly prefix: string;
  offset: number;
  /** The name of its first event. Most records have one. */
  first: string;
  /** How many events have each name; undefined while there is but one event. */
  names: Map<string, number> | undefined;
}

/**
 * Ids of messages that are the same when the same event is written again, and differ for different ones: task, sink, where
 * the event came from, its offset, time and key (windows that begin with the same record differ in those), and a number
 * for the results of one event.
 */
export class MessageIds {
  readonly #prefix: string;
  readonly #last = new WeakMap<Origin, Last>();

  /** @param sink tells the sinks of a task apart */
  constructor(task: string, sink: string) {
    this.#prefix = `${task}:${sink}`;
  }

  /** Call it once for each event, in the order of its partition. */
  next(event: Event): string {
    const { origin, offset, time, key } = event;
    const name = `${offset}:${time}:${key === undefined ? "" : encodeToken(key)}`;
    let last = this.#last.get(origin);
    if (last?.offset !== offset) {
      if (last === undefined) {
        last = { prefix: this.#prefixOf(origin), offset, first: name, names: undefined };
        this.#last.set(origin, last);
      }
      last.offset = offset;
      last.first = name;
      last.names = undefined;
      return last.prefix + name;
    }
    // Not only neighbours can have the same name: of the words of one record each may be the key of an event.
    last.names ??= new Map([[last.first, 1]]);
    const index = last.names.get(name) ?? 0;
    last.names.set(name, index + 1);
    return index === 0 ? last.prefix + name : `${last.prefix}${name}:${index}`;
  }

  #prefixOf({ system, name, partition, edition }: Origin): string {
    const place = `${encodeToken(name)}${edition === undefined ? "" : `@${edition}`}${partition === undefined ? "" : `/${partition}`}`;
    return `${this.#prefix}:${system}:${place}:`;
  }
}
