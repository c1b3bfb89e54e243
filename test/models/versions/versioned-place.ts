import { setTimeout as delay } from "node:timers/promises";

import type { ModelCall } from "../../../src/model.ts";
import type { Place } from "../../../src/models/place.ts";

/** A place whose versions are 1, 2, 3 …, in the order in which they are loaded; each answers with its number and the input. */
export class VersionedPlace {
  /** What happened: `load 1`, `unload 1`. */
  readonly log: string[] = [];
  /** Awaited by the loads, by number. */
  readonly loads = new Map<number, Promise<void>>();
  /** Awaited by the calls of a version, by number. */
  readonly calls = new Map<number, Promise<void>>();
  #versions = 0;

  get place(): Place {
    return {
      kind: "versioned",
      description: {},
      key: "versioned",
      load: async () => {
        const number = ++this.#versions;
        this.log.push(`load ${number}`);
        await this.loads.get(number);
        return {
          identity: { name: "versioned", version: String(number) },
          capacity: 4,
          run: async (rows) => {
            await (this.calls.get(number) ?? delay(0));
            return rows.map((row) => `${number}:${String(row)}`);
          },
          [Symbol.asyncDispose]: async () => void this.log.push(`unload ${number}`),
        };
      },
    };
  }
}

/** A call without limits. */
export function call(): ModelCall {
  return { events: [], signal: new AbortController().signal, until: Number.POSITIVE_INFINITY };
}
