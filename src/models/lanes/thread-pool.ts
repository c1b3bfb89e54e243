import type { Worker, WorkerOptions } from "node:worker_threads";

import Pool from "worker-threads-pool";

import type { Lease, SharedResources } from "../../contracts.ts";
import { InfrastructureError } from "../../errors.ts";
import { onAbort } from "../../on-abort.ts";

/** The threads for models of this process, over all models. */
export function leaseThreadPool(shared: SharedResources, maxThreads: number): Promise<Lease<ThreadPool>> {
  return shared.lease("threads for models", () => Promise.resolve(new ThreadPool(maxThreads)));
}

/**
 * Caps how many threads live: each is an `acquire` of a worker-threads-pool. Who has to wait waits here, and not in the pool, since
 * that starts what waits in it even after it was destroyed; and it ends threads in a way that Node is about to drop.
 */
export class ThreadPool implements AsyncDisposable {
  readonly max: number;
  readonly #pool: Pool;
  readonly #live = new Set<Worker>();
  readonly #waiting = new Set<() => void>();
  #closed = false;

  constructor(max: number) {
    this.max = max;
    this.#pool = new Pool({ max });
  }

  /**
   * Starts a thread, when there is room for one.
   * @param waiting told when it has to wait
   * @throws the signal's reason
   */
  async start(file: URL, options: WorkerOptions, waiting: () => void, signal: AbortSignal): Promise<Worker> {
    while (this.#pool.size >= this.max) {
      waiting();
      await this.#room(signal);
      this.#check(signal);
    }
    this.#check(signal);
    return await this.#acquire(file, options);
  }

  #check(signal: AbortSignal): void {
    signal.throwIfAborted();
    if (this.#closed) throw new InfrastructureError("threads for models are given up");
  }

  #acquire(file: URL, options: WorkerOptions): Promise<Worker> {
    return new Promise((resolve, reject) => {
      this.#pool.acquire(file, options, (error, worker) => {
        if (error !== null) reject(error);
        else resolve(this.#keep(worker));
      });
    });
  }

  #keep(worker: Worker): Worker {
    this.#live.add(worker);
    if (this.#closed) void worker.terminate();
    // Listened to for as long as it lives: an error that nobody hears would end this process.
    worker.on("error", () => this.#next());
    worker.once("exit", () => {
      this.#live.delete(worker);
      this.#next();
    });
    return worker;
  }

  #next(): void {
    const [first] = this.#waiting;
    first?.();
  }

  #room(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        unwatch();
        resolve();
      };
      this.#waiting.add(done);
      const unwatch = onAbort(signal, done);
      if (signal.aborted || this.#closed) done();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#closed = true;
    for (const next of this.#waiting) next();
    await Promise.all([...this.#live].map((worker) => worker.terminate()));
  }
}
