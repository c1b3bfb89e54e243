import type { Lease, SharedResources } from "./contracts.ts";

interface Shared {
  readonly resource: Promise<AsyncDisposable>;
  leases: number;
  /** Settles when the resource is closed, even if closing failed; undefined while it is in use. */
  closed: Promise<void> | undefined;
}

/**
 * What the pipelines of one process share, counted by leases. Whoever asks for a resource that is just being closed waits
 * for that and gets a new one: there are never two of one key.
 */
export function openSharedResources(): SharedResources {
  return new CountedResources();
}

class CountedResources implements SharedResources {
  readonly #byKey = new Map<string, Shared>();

  async lease<R extends AsyncDisposable>(key: string, create: () => Promise<R>): Promise<Lease<R>> {
    for (let closing = this.#byKey.get(key)?.closed; closing !== undefined; closing = this.#byKey.get(key)?.closed) await closing;
    const shared = this.#byKey.get(key) ?? this.#create(key, create);
    shared.leases++;
    try {
      const resource = (await shared.resource) as R;
      return new CountedLease(resource, () => this.#release(key, shared));
    } catch (error) {
      shared.leases--;
      throw error;
    }
  }

  #create(key: string, create: () => Promise<AsyncDisposable>): Shared {
    const shared: Shared = { resource: create(), leases: 0, closed: undefined };
    this.#byKey.set(key, shared);
    shared.resource.catch(() => {
      if (this.#byKey.get(key) === shared) this.#byKey.delete(key);
    });
    return shared;
  }

  async #release(key: string, shared: Shared): Promise<void> {
    if (--shared.leases > 0) return;
    const closing = this.#close(key, shared);
    shared.closed = closing.catch(() => undefined);
    await closing;
  }

  async #close(key: string, shared: Shared): Promise<void> {
    try {
      await (await shared.resource)[Symbol.asyncDispose]();
    } finally {
      this.#byKey.delete(key);
    }
  }
}

class CountedLease<R extends AsyncDisposable> implements Lease<R> {
  readonly resource: R;
  readonly #release: () => Promise<void>;
  #released: Promise<void> | undefined;

  constructor(resource: R, release: () => Promise<void>) {
    this.resource = resource;
    this.#release = release;
  }

  /** Gives the lease back; the last one waits until the resource is closed, and throws what closing threw. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#released ??= this.#release();
    return this.#released;
  }
}
