/**
 * The models of a process as settings say and metrics see them. Imports nothing.
 */

/** Names what answered: `digits@3`. */
export interface ModelIdentity {
  readonly name: string;
  readonly version: string;
}

/** The daemon's settings for models. */
export interface ModelSettings {
  /** The most threads for models that live at a time in a worker process. */
  readonly maxThreads: number;
  /** Threads and processes of a model where its place does not say; 0: models run in the worker itself. */
  readonly parallelWorkers: number;
}

/** Where nothing is set. */
export const DEFAULT_MODEL_SETTINGS: ModelSettings = { maxThreads: 16, parallelWorkers: 1 };

/** Whoever wants to know of the models of this process: its metrics and admin pages. */
export interface ModelRegistry {
  /** @returns to be called when it is closed */
  add(model: ObservedModel): () => void;
}

/** One model of this process, as it can be looked at. */
export interface ObservedModel {
  /** Names the copy: the same for all that share it. */
  readonly key: string;
  readonly kind: string;
  /** Of each version that answers or still has calls under way, the current one first. */
  versions(): readonly ObservedVersion[];
  /** Why it can't work now, as by a broken circuit; undefined when it can. */
  waits(): string | undefined;
  /** Why the newest version could not be loaded, so that the one before it goes on; undefined when it could. */
  refusal(): string | undefined;
  /** Loads the model anew beside the one that serves, and puts it in its place. Rejects, and leaves the old one, when it can't be loaded. */
  reload(): Promise<ModelIdentity>;
}

/** What is counted of one version. Plain numbers, raised as it works and read at scrape time. */
export interface ObservedVersion extends ModelIdentity {
  readonly stats: ModelStats;
}

/** See ObservedVersion. */
export interface ModelStats {
  /** Calls of the model, of joined rows. */
  calls: number;
  rows: number;
  /** Calls whose answer is awaited now. */
  inFlight: number;
  /** Rows that wait for their turn now. */
  queued: number;
  /** Seconds that calls waited for their turn, in all. */
  queueSeconds: number;
  /** Seconds that the model took, in all. */
  predictSeconds: number;
  restarts: number;
  /** Failed calls by the name of the error's class. */
  readonly errors: Map<string, number>;
}
