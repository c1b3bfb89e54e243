import type { Event, Origin } from "../batch.ts";
import { encodeToken } from "./subjects.ts";

interface Last {
  readonly prefix: string;
  offset: number;
  time: number;
  key: string | undefined;
  /** How many events with the same offset, time and key came before. */
  index: number;
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
    let last = this.#last.get(origin);
    if (last === undefined) {
      const partition = origin.partition === undefined ? "" : `/${origin.partition}`;
      last = {
        prefix: `${this.#prefix}:${origin.system}:${encodeToken(origin.name)}${partition}:`,
        offset: -1,
        time: 0,
        key: undefined,
        index: 0,
      };
      this.#last.set(origin, last);
    }
    const same = last.offset === offset && last.key === key && (last.time === time || (Number.isNaN(time) && Number.isNaN(last.time)));
    last.index = same ? last.index + 1 : 0;
    last.offset = offset;
    last.time = time;
    last.key = key;
    const id = `${last.prefix}${offset}:${time}:${key === undefined ? "" : encodeToken(key)}`;
    return last.index === 0 ? id : `${id}:${last.index}`;
  }
}
