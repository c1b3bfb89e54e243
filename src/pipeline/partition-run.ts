import type { Barrier, Batch, Event, Position } from "../batch.ts";
import type { Counters, OpenContext, Partition, RunContext, Sink, SinkSpec } from "../contracts.ts";
import type { LetterBox } from "../dead-letter.ts";
import { DataError, firstThrown, OwnershipLostError } from "../errors.ts";
import type { OpenModel, PlannedModel } from "../model.ts";
import { ahead } from "./ahead.ts";
import { chainSteps } from "./chain.ts";
import { FailureDesk } from "./failure-desk.ts";
import type { FloodBreaker } from "./flood-breaker.ts";
import type { LatencyHistogram } from "./latency.ts";
import { LatencyMeter } from "./latency.ts";
import type { Plan, PlannedStep } from "./plan.ts";
import { writeToSink } from "./sink-writes.ts";
import { withBarriers } from "./state/barriers.ts";
import type { CheckpointOptions, PartitionCheckpoints } from "./state/checkpoints.ts";
import { openCheckpoints } from "./state/open-checkpoints.ts";
import { StateBarrier } from "./state/step-state.ts";
import { transacted } from "./transacted.ts";
import { positionBefore } from "./truncated.ts";

/** What the partitions of an instance have in common. */
export interface PartitionRunOptions {
  readonly plan: Plan;
  readonly context: OpenContext;
  readonly sinks: ReadonlyMap<SinkSpec, Sink>;
  readonly models: ReadonlyMap<PlannedModel, OpenModel>;
  /** The plan's box for dead letters, open. */
  readonly box: LetterBox | undefined;
  readonly breaker: FloodBreaker;
  readonly counters: Counters;
  readonly latency: LatencyHistogram;
  readonly isSourceAway: () => boolean;
  /** Where state is kept; undefined when the plan has none, or holds positions back instead. */
  readonly checkpoints: CheckpointOptions | undefined;
  /** Told why the checkpoints of this partition can't be saved now. */
  readonly checkpointsWait: (partition: string, reason: string | undefined) => void;
  /** Aborts for a planned stop. */
  readonly stop: AbortSignal;
  /** Aborts when work in flight is to be given up. */
  readonly abandon: AbortSignal;
}

/**
 * Runs the pipeline over one partition until its input ends, and disposes of the partition. A partition that was lost ends
 * without an error: its events belong to another by then.
 */
export async function runPartition(given: Partition, shared: PartitionRunOptions): Promise<void> {
  const { partition, sinks } = transacted(given, shared.sinks);
  const options = { ...shared, sinks };
  const { context, counters } = options;
  const failed = new AbortController();
  const signal = AbortSignal.any([options.abandon, partition.signal, failed.signal]);
  const desk = new FailureDesk(options);
  const run: RunContext = {
    task: context.task,
    partition: partition.name,
    logger: context.logger.child({ partition: partition.name }),
    clock: context.clock,
    random: context.random,
    signal,
    counters,
    failures: desk,
    isSourceAway: options.isSourceAway,
    sink: (spec) => openSink(options.sinks, spec),
    model: (planned) => openModel(options.models, planned),
  };
  try {
    const checkpoints = await claimed(partition, options, failed);
    if (checkpoints !== "stopped") await pumpAndRelease(partition, { run, desk, options, failed, checkpoints });
  } catch (thrown) {
    const error = firstThrown(thrown);
    if (partition.signal.aborted || error instanceof OwnershipLostError) return;
    if (error instanceof DataError) counters.failed += 1;
    throw error;
  }
}

/** What became of a batch that has passed all steps: how far it is done, and why no farther. */
interface Written {
  readonly position: Position;
  readonly barrier?: Barrier | undefined;
  readonly failure?: unknown;
}

interface Surroundings {
  readonly run: RunContext;
  readonly desk: FailureDesk;
  readonly options: PartitionRunOptions;
  /** Aborted when something fails, so that steps before it give up what is in flight. */
  readonly failed: AbortController;
  readonly checkpoints: PartitionCheckpoints | undefined;
}

/** Opens the checkpoints first, if there are to be any: what they hold says where reading begins. */
async function claimed(
  partition: Partition,
  options: PartitionRunOptions,
  failed: AbortController,
): Promise<PartitionCheckpoints | "stopped" | undefined> {
  const { checkpoints, plan, context, checkpointsWait, stop, abandon } = options;
  if (checkpoints === undefined) return undefined;
  const waiting = (reason: string | undefined) => checkpointsWait(partition.name, reason);
  // A failure of the pipeline does not stop what is being saved: that is of what came before it.
  const signal = AbortSignal.any([abandon, partition.signal]);
  const parts = { plan, partition, context, checkpoints, waiting, failed: (error: unknown) => failed.abort(error) };
  try {
    return await openCheckpoints({ ...parts, signal, opening: AbortSignal.any([signal, stop]) });
  } catch (error) {
    await partition[Symbol.asyncDispose]();
    if (stop.aborted && error === stop.reason) return "stopped";
    throw error;
  } finally {
    waiting(undefined);
  }
}

async function pumpAndRelease(partition: Partition, surroundings: Surroundings): Promise<void> {
  const { run, desk, options, failed, checkpoints } = surroundings;
  const meter = new LatencyMeter(options.latency);
  let ended: Promise<unknown> | undefined;
  try {
    await using _released = partition;
    const read = partition.read(checkpoints?.start, desk.ofSource);
    const input = counted(checkpoints === undefined ? read : withBarriers(read, checkpoints, run.clock), options, meter);
    try {
      await pump(partition, input, surroundings, meter);
      await checkpoints?.end();
      run.signal.throwIfAborted();
    } catch (error) {
      failed.abort(error);
      await checkpoints?.giveUp();
      throw error;
    } finally {
      // Queued behind a read that is under way, which the disposal ends.
      ended = input.return(undefined);
    }
  } finally {
    await ended;
  }
}

async function pump(
  partition: Partition,
  input: AsyncIterable<Batch>,
  { run, desk, options, checkpoints }: Surroundings,
  meter: LatencyMeter,
): Promise<void> {
  const { plan, context } = options;
  const sinks = plan.sinks.map((spec) => openSink(options.sinks, spec));
  const inFlight = Math.min(...sinks.map((sink) => sink.maxInFlight ?? 1));
  const write = (batch: Batch): Written | Promise<Written> => {
    if (batch.events.length > 0) return writeAll(sinks, batch, run, desk);
    // What was left out before it is kept before it is done.
    return settled(run, desk)?.then(() => batch) ?? batch;
  };
  const { handlers } = desk;
  const memory = checkpoints && ((step: PlannedStep) => checkpoints.memory(step));
  const output = handlers.used
    ? chainSteps(plan.steps, handlers.watched(input), run, { memory, inlets: handlers.inlets(run, chainSteps) })
    : chainSteps(plan.steps, input, run, { memory });
  for await (const done of ahead(oneByOne(output), inFlight, run.signal, write)) {
    const { position, failure } = done.find((written) => written.failure !== undefined) ?? done[done.length - 1]!;
    meter.done(position, context.clock.elapsed());
    if (checkpoints === undefined) await partition.commit(position);
    else passBarriers(done, checkpoints);
    if (failure !== undefined) throw failure;
  }
  run.signal.throwIfAborted();
}

/** Has the checkpoints saved whose barriers have come behind the sinks; the position follows when they are. */
function passBarriers(done: readonly Written[], checkpoints: PartitionCheckpoints): void {
  for (const { barrier, position, failure } of done) {
    if (failure !== undefined) return;
    if (barrier instanceof StateBarrier) checkpoints.passed(barrier, position);
  }
}

async function* counted(input: AsyncIterable<Batch>, options: PartitionRunOptions, meter: LatencyMeter): AsyncGenerator<Batch> {
  const { counters, context } = options;
  for await (const batch of input) {
    const { length } = batch.events;
    if (length > 0) {
      counters.in += length;
      options.breaker.read(length);
      meter.read(batch.position, length, context.clock.elapsed());
    }
    yield batch;
  }
}

async function* oneByOne(input: AsyncIterable<Batch>): AsyncGenerator<readonly Batch[]> {
  for await (const batch of input) yield [batch];
}

/** Settles when nothing of what was taken so far is to be done any more; undefined when that is so already. */
function settled(run: RunContext, desk: FailureDesk): Promise<void> | undefined {
  if (!desk.handlers.waitForSinks) return desk.written(run.signal);
  return desk.handlers.handleOfSinks(run, chainSteps).then(() => desk.written(run.signal));
}

async function writeAll(sinks: readonly Sink[], batch: Batch, run: RunContext, desk: FailureDesk): Promise<Written> {
  const events: readonly Event[] = batch.events;
  const taken = new Set<Event>();
  run.counters.inFlight += 1;
  try {
    const letters = desk.written(run.signal);
    const ends = await Promise.all(sinks.map((sink) => writeToSink(sink, events, run.signal, { taken, failures: desk })));
    await letters;
    // And those that the sinks refused.
    await settled(run, desk);
    // The batch is done as far as all sinks have written it.
    const { written, failure } = ends.reduce((least, end) => (end.written < least.written ? end : least));
    run.counters.out += taken.size === 0 ? written : events.slice(0, written).filter((event) => !taken.has(event)).length;
    return failure === undefined ? batch : { position: positionBefore(batch, written), failure };
  } finally {
    run.counters.inFlight -= 1;
  }
}

function openSink(sinks: ReadonlyMap<SinkSpec, Sink>, spec: SinkSpec): Sink {
  const sink = sinks.get(spec);
  if (sink === undefined) throw new Error(`the plan does not name the ${spec.kind} sink that a step writes to`);
  return sink;
}

function openModel(models: ReadonlyMap<PlannedModel, OpenModel>, planned: PlannedModel): OpenModel {
  const model = models.get(planned);
  if (model === undefined) throw new Error(`the plan does not name the model that step "${planned.options.step}" asks`);
  return model;
}
