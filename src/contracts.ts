/**
 * What the engine asks of sources, sinks and steps, and what it gives them. The engine knows these, never an implementation.
 */
import type { Barrier, Batch, Event, Position } from "./batch.ts";
import type { Clock } from "./clock.ts";
import type { Connections } from "./connections.ts";
import type { LetterBox } from "./dead-letter.ts";
import type { DataError } from "./errors.ts";
import type { ModelRegistry, ModelSettings } from "./model-stats.ts";
import type { OpenModel, PlannedModel } from "./model.ts";
import type { CallTracer } from "./tracing.ts";
import type { Format } from "./values.ts";

/** A logger in pino's form: fields first, then a message. Fields never hold payloads or secrets. */
export interface Logger {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  error(fields: object, message: string): void;
  child(fields: object): Logger;
}

/** A logger that says nothing. */
export const SILENT: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => SILENT,
};

/** Which task instance something belongs to. */
export interface TaskIdentity {
  readonly id: string;
  readonly product: string;
  /** From 0 to `instances` - 1. */
  readonly instance: number;
  /** How many instances of the task there are, over all workers. */
  readonly instances: number;
}

/** Things of one process that several pipelines share, such as a connection to a broker. */
export interface SharedResources {
  /**
   * The resource of that key: created by the first caller, closed when the last lease was disposed of. Callers that come
   * while it is created wait for the same one; if creating fails, all of them fail and the next caller tries again.
   */
  lease<R extends AsyncDisposable>(key: string, create: () => Promise<R>): Promise<Lease<R>>;
}

export interface Lease<R> extends AsyncDisposable {
  readonly resource: R;
}

/** What a source or sink is opened with. */
export interface OpenContext {
  readonly task: TaskIdentity;
  /** Which part of the plan it is: `source`, or `sink-0`, `sink-1` … in the plan's order, side sinks last, `dead-letter`. The same in every run. */
  readonly part?: string;
  readonly connections: Connections;
  readonly shared: SharedResources;
  readonly logger: Logger;
  readonly clock: Clock;
  /** What relative paths of files count from; default the working directory. */
  readonly directory?: string | undefined;
  /** Chance, from 0 to 1, for what is spread in time; default Math.random. */
  readonly random?: (() => number) | undefined;
  /** Aborts when work in flight is to be given up. A planned stop that drains does not abort it. */
  readonly signal: AbortSignal;
  /**
   * `debug`: the pipeline must not disturb the running group, so a source takes a group or consumer name of its own and
   * must outlive a pause of minutes at a breakpoint.
   */
  readonly mode: "run" | "debug";
  /** How many threads and processes models may have; default: DEFAULT_MODEL_SETTINGS. */
  readonly modelSettings?: ModelSettings | undefined;
  /** Told of the models that are opened; default: nobody is. */
  readonly models?: ModelRegistry | undefined;
  /** Records the calls of models as spans; default: nothing does, and nothing is spent on it. */
  readonly tracer?: CallTracer | undefined;
  /** Takes the task's secrets out of a text that others will see; default: it has none. */
  readonly hide?: ((text: string) => string) | undefined;
  /**
   * Says why the instance can't work now, for the operator (`readyz`, `/api/tasks`); undefined when it can again.
   * A source or sink calls it when a broker goes away and when it is back, and logs one line for each change.
   */
  waiting(reason: string | undefined): void;
}

/** Settings of a plan's part as data, for `graph` and `list`. Holds no secret. */
export type Description = Readonly<Record<string, string | number | boolean | undefined>>;

/** A source as part of a plan: data until it is opened. */
export interface SourceSpec<T = unknown> {
  readonly kind: string;
  readonly description: Description;
  /** Whether the input ends by itself. */
  readonly finite: boolean;
  /** Whether records carry a timestamp of their own; without one, windows in event time need a `timeBy`. */
  readonly timestamps: boolean;
  /** Whether records may be spread over several partitions. */
  readonly partitioned: boolean;
  /** What values are decoded from as they are read; undefined when they are the records' bytes. */
  readonly format?: Format | undefined;
  open(context: OpenContext, options: SourceOptions): Promise<Source<T>>;
}

/** What the pipeline needs of its source. */
export interface SourceOptions {
  /**
   * True when a step keeps state: no two instances may then share a partition's events (a JetStream consumer is owned
   * alone, or refused).
   */
  readonly stateful: boolean;
}

/**
 * An open source. `partitions` is called once. It yields each partition when it is assigned to this instance, and again
 * after it was taken away and given back; it ends when `stop` aborts or when a finite input has no more partitions.
 *
 * Broker outages are waited out inside, with back-off. It throws NotReadyError when what it needs does not exist,
 * InfrastructureError when it must be opened anew, and ConfigError when it can never work.
 */
export interface Source<T = unknown> extends AsyncDisposable {
  /** @param stop aborts for a planned stop: every partition's `read` then ends after what it has already yielded */
  partitions(stop: AbortSignal): AsyncIterable<Partition<T>>;
  /** How many events wait in the broker, not yet read or committed, over the partitions of this instance; undefined if unknown. */
  lag?(): number | undefined;
}

/**
 * One ordered stream of events, worked on by one pipeline at a time. The runner calls `read` once, `commit` from time to
 * time, and disposes of it last, when everything that `read` gave is written or given up: a source whose partition is to
 * be handed over waits for that disposal, which also writes the last committed position.
 */
export interface Partition<T = unknown> extends AsyncDisposable {
  /** Names it among the partitions of the task: `orders/3`. */
  readonly name: string;
  /** Aborts when the partition was lost: what is in flight is given up and nothing more is committed. */
  readonly signal: AbortSignal;
  /** Tells the input apart from another that took its place under the same name; undefined where the source can't know. */
  readonly edition?: string | undefined;
  /** What a sink needs to write the position itself; undefined where only `commit` can. */
  readonly rights?: CommitRights | undefined;
  /**
   * Yields what the broker has ready (at most about 1,024 events or 1 MiB), never waiting to fill a batch, and an empty
   * batch at least every half minute. Ends when a stop or a hand-over was asked for, when the partition is disposed of, and
   * after the END_OF_INPUT watermark of a finite input. Nothing is read ahead beyond the source's limits while the consumer does not ask.
   * A record that can't be decoded is given to `failures` and left out. What that throws, or without it a DataError, ends the
   * reading after everything before the record was yielded.
   * @param from the first position wanted; undefined: the committed one, else where the task's `from` says
   */
  read(from: Position | undefined, failures?: Failures): AsyncIterable<Batch<T>>;
  /**
   * Everything before `position` is done. Cumulative, called often, written seldom (about once a second, and on disposal).
   * Throws OwnershipLostError when the partition belongs to another by now.
   * @param kept `state`: what steps keep is in a checkpoint of that position, so that the position alone is not enough to go on
   */
  commit(position: Position, kept?: "state"): Promise<void>;
  /**
   * What the position needs at which it begins when the pipeline does not say; undefined where the source can't tell. Call it
   * before `read`.
   */
  committedWith?(): Promise<"state" | undefined>;
}

/** In whose name the position of a partition is written: what a sink needs that writes it itself, in one transaction with its results. */
export interface CommitRights {
  readonly topic: string;
  readonly partition: number;
  readonly group: string;
  readonly member: string;
  readonly generation: number;
  /** The position was written. */
  wrote(position: Position): void;
}

/** A partition and a sink in the place of others: the positions of the one and the events of the other are written together. */
export interface Transacted {
  readonly partition: Partition;
  readonly sink: Sink;
}

/** A sink as part of a plan: data until it is opened. */
export interface SinkSpec {
  readonly kind: string;
  readonly description: Description;
  /** The kind of source whose positions it writes in one transaction with its events; undefined when it makes no transactions. */
  readonly transactsWith?: string | undefined;
  open(context: OpenContext): Promise<Sink>;
  /** Opens it as a place for dead letters; undefined where this kind of sink can be none. */
  openLetters?(context: OpenContext): Promise<LetterBox>;
}

/**
 * An open sink, shared by the partitions of one task instance.
 *
 * `write` settles when the system behind has confirmed all events durably as it can. Calls for one partition come in
 * order, at most `maxInFlight` of them before the first has settled; the sink keeps that order. Calls for different
 * partitions overlap. The events and their values must not be changed, and not be kept after `write` settled.
 *
 * Outages are waited out inside until `signal` aborts. An event that the system will never take (too large, a violated
 * constraint) is a DataError that names it; the events before it are then written, those after it not. One that takes several calls at a time
 * asks `refuse` first, where it can tell before it writes, so that those after it keep their place.
 */
export interface Sink extends AsyncDisposable {
  /** Calls of one partition that may be under way together; 1 if not given. */
  readonly maxInFlight?: number;
  write(events: readonly Event[], signal: AbortSignal, refuse?: Refuse): Promise<void>;
  /**
   * Begins the transactions of a partition: its run then uses what this gives, in which a write settles before it can be
   * seen, and a commit before it is written. Undefined when the sink makes none.
   */
  readonly transact?: ((partition: Partition) => Transacted) | undefined;
}

/** Asks what becomes of an event that a sink will never take: returns when the event is to be left out, and throws what is to end the write there. */
export type Refuse = (event: Event, error: DataError) => void;

/** What one partition's run of a pipeline counts. Plain numbers, raised in the loop and read at scrape time. */
export interface Counters {
  /** Events that the source gave. */
  in: number;
  /** Events that all sinks confirmed. */
  out: number;
  /** Events that a filter dropped. */
  filtered: number;
  /** Events that a `deduplicate` dropped: their id was seen before. */
  deduplicated: number;
  /** Events that came after all their windows were closed. */
  late: number;
  /** Events that were refused with a data error and ended the task's run. */
  failed: number;
  /** Events that were left out as dead letters. */
  deadLettered: number;
  /** Events that failed and were left out, as the policy for errors says. */
  skipped: number;
  /** Extra attempts of `infer` and `mapAsync`. */
  retried: number;
  /** Calls of `infer` and `mapAsync`, and writes of sinks, under way now. */
  inFlight: number;
  /** Rows of which a shadow gave its own answer. */
  shadowed: number;
  /** Rows of which a shadow's answer was another than that of the first model, or only one of them had one. */
  shadowDiffering: number;
  /** Rows that a shadow could not do. */
  shadowFailed: number;
  /** Rows that a shadow was not shown, or whose comparison was not written, since it did not keep up or its sink refused. */
  shadowDropped: number;
  /** Rows that a canary answered. */
  canaried: number;
  /** Rows that a canary failed or was late with: the first model was asked for them. */
  canaryFailed: number;
  /** Rows that a fallback answered. */
  fellBack: number;
}

/** Where a step keeps what it must remember over a restart: its part in the checkpoints of its partition. */
export interface StepMemory {
  /** What it gave to `save` in the checkpoint that this run begins from; undefined when it begins without. */
  readonly restored: unknown;
  /**
   * Adds the step's whole state to the checkpoint of a barrier: plain data (numbers, text, arrays, objects, Maps, Sets, Dates,
   * bytes), which is copied at once. Called once for each barrier, before it is passed on.
   */
  save(barrier: Barrier, state: unknown): void;
}

/** How often something was tried, and when. Milliseconds since the epoch. */
export interface Tries {
  readonly attempts: number;
  readonly first: number;
  readonly last: number;
}

/** What becomes of events that a step can't pass. */
export interface Failures {
  /** Whether there are errors for which an event of that step is taken. */
  canTake(step: string): boolean;
  /**
   * Takes the event out of the pipeline at that step, as the policy says (skip, dead letter, error handler): the caller
   * leaves it out of its batch and goes on. Its dead letter is kept before the position of its batch is done.
   * Events are taken in the order in which a step gives them on. What it throws ends the step: what came before the event is yielded first.
   * @throws {DataError} when the policy is to fail
   * @throws {InfrastructureError} when the policy is to fail, and it was such an error
   * @throws {FloodError} when too many events fail
   */
  take(step: string, event: Event, error: unknown, tries?: Tries): void;
}

/** What a step runs with; one per partition. */
export interface RunContext {
  readonly task: TaskIdentity;
  /** The partition's name. */
  readonly partition: string;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Chance, from 0 to 1, for what is spread in time; default Math.random. */
  readonly random?: (() => number) | undefined;
  /** Aborts when work in flight is to be given up: a deadline passed, the partition was lost, or another part failed. */
  readonly signal: AbortSignal;
  readonly counters: Counters;
  /** Whether the source waits for something, such as a broker that is away: events may then be there that it can't give. */
  isSourceAway(): boolean;
  /** Takes events that a step can't pass. */
  readonly failures: Failures;
  /** The open sink of a spec that the plan names for this step, such as a window's late sink. */
  sink(spec: SinkSpec): Sink;
  /** An open model that the plan names for this step. */
  model(planned: PlannedModel): OpenModel;
  /** The step's part of the checkpoints; undefined when the run makes none. */
  readonly memory?: StepMemory | undefined;
}

/**
 * One operation of a pipeline, over batches. It passes each barrier on, with an empty batch behind all that it made of
 * what came before, and adds its state to it first. It yields positions that are safe to go back to: what it still holds is not
 * yet done. Where the input throws, it first yields what it still has in flight, then throws the same.
 */
export type Step<In, Out> = (input: AsyncIterable<Batch<In>>, run: RunContext) => AsyncIterable<Batch<Out>>;
