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
  /** Rows that wait for their turn now. */
  queued(): number;
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

/** See ObservedVersion. All but `inFlight` never fall. */
export interface ModelStats {
  /** Calls of the model, of joined rows. */
  calls: number;
  rows: number;
  /** Calls by their rows: those of each bucket alone, by ROW_BOUNDS. */
  readonly batchSizes: number[];
  /** Calls whose answer is awaited now. */
  inFlight: number;
  /** Seconds that callers' calls waited for their turn, in all. */
  queueSeconds: number;
  /** Callers' calls by how long they waited, by TIME_BOUNDS. */
  readonly queueTimes: number[];
  /** Seconds that the model took, in all. */
  predictSeconds: number;
  /** Calls that have ended, by how long the model took, by TIME_BOUNDS. */
  readonly predictTimes: number[];
  /** Threads and processes that were started again. */
  restarts: number;
  /** Failed calls by the name of the error's class. */
  readonly errors: Map<string, number>;
}

/** Upper bounds of the buckets of rows per call; one more bucket holds what has more. */
export const ROW_BOUNDS: readonly number[] = [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024];

/** Upper bounds of the buckets of times, in seconds; one more bucket holds what took longer. */
export const TIME_BOUNDS: readonly number[] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60];

/** Nothing was counted yet. */
export function noModelStats(): ModelStats {
  return {
    calls: 0,
    rows: 0,
    batchSizes: noBuckets(ROW_BOUNDS),
    inFlight: 0,
    queueSeconds: 0,
    queueTimes: noBuckets(TIME_BOUNDS),
    predictSeconds: 0,
    predictTimes: noBuckets(TIME_BOUNDS),
    restarts: 0,
    errors: new Map(),
  };
}

/** A caller's call waited so many seconds, until its rows were sent to the version whose numbers these are. */
export function countQueued(stats: ModelStats, seconds: number): void {
  stats.queueSeconds += seconds;
  raise(stats.queueTimes, TIME_BOUNDS, seconds);
}

/** A call of so many joined rows begins. */
export function countCall(stats: ModelStats, rows: number): void {
  stats.calls += 1;
  stats.rows += rows;
  stats.inFlight += 1;
  raise(stats.batchSizes, ROW_BOUNDS, rows);
}

/** A call has ended, however, after so many seconds. */
export function countEnd(stats: ModelStats, seconds: number): void {
  stats.inFlight -= 1;
  stats.predictSeconds += seconds;
  raise(stats.predictTimes, TIME_BOUNDS, seconds);
}

/** Classes of errors that are counted each for itself: names of errors are made by products, who may make any number of them. */
const MOST_CLASSES = 50;

/** A call failed with an error of that class. */
export function countError(stats: ModelStats, errorClass: string): void {
  const { errors } = stats;
  const name = errors.has(errorClass) || errors.size < MOST_CLASSES ? errorClass : "other";
  errors.set(name, (errors.get(name) ?? 0) + 1);
}

function noBuckets(bounds: readonly number[]): number[] {
  return Array.from({ length: bounds.length + 1 }, () => 0);
}

function raise(counts: number[], bounds: readonly number[], value: number): void {
  let bucket = 0;
  while (bucket < bounds.length && value > (bounds[bucket] as number)) bucket += 1;
  counts[bucket] = (counts[bucket] as number) + 1;
}
