import type { ModelReload, ModelReloads as Reloader } from "../observability/admin.ts";
import type { ReloadOutcome, ToWorker, WorkerId } from "../worker/messages.ts";
import type { Fleet } from "./fleet.ts";

/** How long workers may take to load a model anew before it is told that they are still at it. Milliseconds. */
const PATIENCE = 60_000;

/** What reloads need. */
export interface ReloadSurroundings {
  readonly fleet: Pick<Fleet, "workers" | "modelViews">;
  send(worker: WorkerId, message: ToWorker): void;
  /** Default: 60,000. Milliseconds. */
  readonly patience?: number;
}

interface Request {
  readonly name: string;
  /** The workers that have not answered. */
  readonly awaited: Map<WorkerId, { readonly worker: number; readonly pid: number | undefined }>;
  readonly answers: WorkerAnswer[];
  readonly done: () => void;
}

type WorkerAnswer = ModelReload["workers"][number];

/** Asks the workers to load models anew, and gathers what they answer. One at a time of a name: loading costs memory and time. */
export class ModelReloads implements Reloader {
  readonly #surroundings: ReloadSurroundings;
  readonly #requests = new Map<number, Request>();
  #lastRequest = 0;

  constructor(surroundings: ReloadSurroundings) {
    this.#surroundings = surroundings;
  }

  async reload(name: string): Promise<ModelReload | "under-way" | "unknown"> {
    const { fleet, patience = PATIENCE } = this.#surroundings;
    if (!fleet.modelViews().some((model) => model.name === name)) return "unknown";
    for (const request of this.#requests.values()) if (request.name === name) return "under-way";
    const ready = [...fleet.workers].filter(({ phase }) => phase === "ready");
    const awaited = new Map(ready.map(({ id, number, pid }) => [id, { worker: number, pid }]));
    const { promise, resolve } = Promise.withResolvers<void>();
    const request: Request = { name, awaited, answers: [], done: resolve };
    const id = ++this.#lastRequest;
    this.#requests.set(id, request);
    for (const worker of awaited.keys()) this.#surroundings.send(worker, { type: "reload-models", request: id, name });
    const timer = setTimeout(resolve, patience);
    try {
      if (awaited.size > 0) await promise;
    } finally {
      clearTimeout(timer);
      this.#requests.delete(id);
    }
    const late = `it is not loaded yet after ${patience / 1000} s, and goes on loading`;
    const answers = [...request.answers, ...[...awaited.values()].map((worker) => ({ ...worker, error: late }))];
    return { name, workers: answers.toSorted((a, b) => a.worker - b.worker) };
  }

  /** Takes in what a worker answers. */
  hear(id: WorkerId, request: number, outcomes: readonly ReloadOutcome[]): void {
    const asked = this.#requests.get(request);
    const worker = asked?.awaited.get(id);
    if (asked === undefined || worker === undefined) return;
    asked.answers.push(...outcomes.map((outcome) => ({ ...worker, ...outcome })));
    this.#answered(asked, id);
  }

  /** Takes in that a worker is gone. */
  gone(id: WorkerId): void {
    for (const request of this.#requests.values()) {
      const worker = request.awaited.get(id);
      if (worker === undefined) continue;
      request.answers.push({ ...worker, error: "the worker has ended; its successor loads the model as it is now" });
      this.#answered(request, id);
    }
  }

  #answered(request: Request, worker: WorkerId): void {
    request.awaited.delete(worker);
    if (request.awaited.size === 0) request.done();
  }
}
