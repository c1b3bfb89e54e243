/** What is used of a package that has no types. */
declare module "worker-threads-pool" {
  import type { Worker, WorkerOptions } from "node:worker_threads";

  export default class Pool {
    constructor(options: { readonly max: number });
    /** Threads that live. */
    readonly size: number;
    acquire(file: URL | string, options: WorkerOptions, callback: (error: Error | null, worker: Worker) => void): void;
  }
}
