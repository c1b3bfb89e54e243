import { InfrastructureError } from "../../errors.ts";
import { RedisConnectionHandle } from "../../redis/connection.ts";
import { maskUrl } from "../../secrets.ts";
import { intervals } from "./intervals.ts";
import { rowOf } from "./row.ts";
import type { StoreContents, TaskStore } from "./store.ts";

export interface RedisStoreSettings {
  readonly url: string;
  readonly key: string;
  /** Milliseconds between reads. */
  readonly every: number;
}

/**
 * The tasks in a Redis hash: each field is a task's id, its value the task as JSON, with or without the id. Read as a
 * whole every `every` milliseconds, in the order of the ids, each time over a connection of its own: one that is idle for
 * most of the time would only be one more thing that can break. A hash that does not exist has no tasks.
 */
export class RedisStore implements TaskStore {
  readonly name: string;
  readonly #settings: RedisStoreSettings;

  constructor(settings: RedisStoreSettings) {
    this.#settings = settings;
    this.name = `redis ${settings.key} at ${maskUrl(settings.url)}`;
  }

  async read(signal: AbortSignal): Promise<StoreContents> {
    const fields = await this.#fields(signal);
    const tasks = fields
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([field, text]) => rowOf(this.name, `${this.name} field ${field}`, field, () => taskOf(field, text)));
    return { tasks, faults: [] };
  }

  async #fields(signal: AbortSignal): Promise<readonly (readonly [string, string])[]> {
    await using connection = new RedisConnectionHandle(this.#settings.url);
    const abort = () => connection.client.disconnect();
    signal.addEventListener("abort", abort, { once: true });
    try {
      signal.throwIfAborted();
      await connection.ready();
      return Object.entries(await connection.client.hgetall(this.#settings.key));
    } catch (error) {
      signal.throwIfAborted();
      throw error instanceof InfrastructureError ? error : connection.failure(error);
    } finally {
      signal.removeEventListener("abort", abort);
    }
  }

  changes(signal: AbortSignal): AsyncIterable<void> {
    return intervals(this.#settings.every, signal);
  }
}

function taskOf(field: string, text: string): unknown {
  const task: unknown = parseJson(text);
  if (typeof task !== "object" || task === null || Array.isArray(task)) throw new Error("the value must be a task: { product, config }");
  const id: unknown = Object.hasOwn(task, "id") ? Reflect.get(task, "id") : field;
  if (id !== field)
    throw new Error(`the task's id is ${JSON.stringify(id)} but the field is ${JSON.stringify(field)}; they must be the same`);
  return { ...task, id };
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    // The parser's message would quote the text, which may be a secret.
    throw new Error("the value is no JSON", { cause: error });
  }
}
