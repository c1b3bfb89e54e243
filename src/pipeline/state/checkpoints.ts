import { randomUUID } from "node:crypto";
import { crc32 } from "node:zlib";

import type { Batch, Position } from "../../batch.ts";
import { END_OF_INPUT, NO_WATERMARK } from "../../batch.ts";
import type { CheckpointClaim, CheckpointStore } from "../../checkpoint-store.ts";
import type { Clock } from "../../clock.ts";
import type { Logger, Partition, TaskIdentity } from "../../contracts.ts";
import { VERSION } from "../../version.ts";
import type { PlannedStep } from "../plan.ts";
import type { Bytes, Manifest, SavedStepEntry, SegmentEntry } from "./manifest.ts";
import { encodeManifest, partsIn } from "./manifest.ts";
import type { StorePatience } from "./patience.ts";
import type { LoadedCheckpoint } from "./saved-checkpoint.ts";
import { packSegment, partsOf } from "./segments.ts";
import { StateBarrier, StateError, StepState } from "./step-state.ts";

/** Where and how often the checkpoints of an instance are made. */
export interface CheckpointOptions {
  readonly store: CheckpointStore;
  /** Milliseconds from one to the next. */
  readonly interval: number;
  /**
   * What becomes of saved state that does not fit the pipeline, or can't be read: the partition is refused, or the state is made
   * anew from where the input still has it.
   */
  readonly misfit: "refuse" | "reset";
}

/** What the checkpoints of a partition are made of. */
export interface CheckpointParts {
  readonly task: TaskIdentity;
  readonly steps: readonly PlannedStep[];
  readonly partition: Partition;
  readonly interval: number;
  readonly claim: CheckpointClaim;
  readonly patience: StorePatience;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of an error after which nothing can be saved any more. */
  readonly failed: (error: unknown) => void;
}

/** Bytes that a manifest holds itself. What is larger goes into parts. */
const INLINE = 32_768;

/** How soon to look again whether the last checkpoint is done, at least, in milliseconds. */
const SHORTEST_LOOK = 10;

interface Mark {
  readonly barrier: StateBarrier;
  readonly position: Position;
}

/**
 * The checkpoints of one partition: makes a barrier when one is due, and when that has come behind the sinks, saves
 * position and states together; only then the position is committed. Saving goes on beside the stream.
 */
export class PartitionCheckpoints {
  readonly #parts: CheckpointParts;
  readonly #states: ReadonlyMap<string, StepState>;
  /** Where to read from; undefined: where the source says. */
  readonly start: Position | undefined;
  #entries: ReadonlyMap<string, SavedStepEntry>;
  #marks: Mark[] = [];
  #number = 0;
  #position: Position | undefined;
  #watermark = NO_WATERMARK;
  /** Whether something came since the last barrier. */
  #changed = false;
  /** Since when the next barrier is waited for, as the clock's `elapsed` gives it. */
  #since: number;
  /** Begins the names of parts: what a former owner may still write is never taken for one of ours. */
  readonly #owner = randomUUID().slice(0, 8);
  #saving: Promise<void> = Promise.resolve();
  #broken = false;

  /**
   * @param from the checkpoint to begin from; undefined for none
   * @param state `reset`: what steps have kept is not restored, and reading begins where it can be made anew from
   */
  constructor(parts: CheckpointParts, from: LoadedCheckpoint | undefined, state: "keep" | "reset") {
    this.#parts = parts;
    const kept = state === "keep" ? from?.steps : undefined;
    const steps = parts.steps.filter(({ memory }) => memory !== undefined);
    // The watermark stays also when state is reset: windows that were closed are not to be given again.
    const savedOf = ({ name, stateful }: PlannedStep) => (stateful ? kept?.get(name) : from?.steps.get(name));
    this.#states = new Map(steps.map((step) => [step.name, new StepState(step.name, savedOf(step))]));
    this.#entries = new Map((kept === undefined ? [] : (from?.manifest.steps ?? [])).map((entry) => [entry.name, entry]));
    this.start = state === "keep" ? from?.manifest.position : from?.manifest.safePosition;
    // Where it begins is saved at once when that is not saved yet: the source may say another place next time.
    this.#since = from === undefined || state === "reset" ? Number.NEGATIVE_INFINITY : parts.clock.elapsed();
  }

  /** The memory of a step of the plan. */
  memory(step: PlannedStep): StepState | undefined {
    return this.#states.get(step.name);
  }

  /** In how many milliseconds the next barrier is due; undefined while nothing has come since the last. */
  get left(): number | undefined {
    return this.#changed ? this.#since + this.#parts.interval - this.#parts.clock.elapsed() : undefined;
  }

  /** Notes a batch that goes on its way. */
  read({ position, watermark, events }: Batch): void {
    if (events.length > 0 || position !== this.#position) this.#changed = true;
    this.#position = position;
    this.#watermark = watermark;
  }

  /** Notes that a step gave something of its own, by a timer. */
  gave(): void {
    if (this.#position !== undefined) this.#changed = true;
  }

  /** The next barrier, when it is due and none is under way. */
  next(): Batch | undefined {
    const { left } = this;
    if (left === undefined || left > 0) return undefined;
    if (this.#marks.length === 0) return this.#barrier();
    // It is looked at again after the same time.
    this.#since = this.#parts.clock.elapsed() + Math.max(0, SHORTEST_LOOK - this.#parts.interval);
    return undefined;
  }

  /** Settles when the next barrier need not wait for a store that is away: else what must be done again would grow without end. */
  async ready(): Promise<void> {
    while (this.#parts.patience.isWaiting && !this.#broken && (this.left ?? Number.POSITIVE_INFINITY) <= 0) {
      await this.#saving;
    }
  }

  /** The last barrier, when something came since the one before; not after the end of a finite input, of which nothing is kept. */
  last(): Batch | undefined {
    return this.#changed && this.#watermark !== END_OF_INPUT ? this.#barrier() : undefined;
  }

  /**
   * A barrier has come behind the sinks: all before it is written.
   * @param safePosition where reading would have to begin without the states
   */
  passed(barrier: StateBarrier, safePosition: Position): void {
    const mark = this.#marks.find((candidate) => candidate.barrier === barrier);
    if (mark === undefined) throw new StateError("a barrier came twice: a step passed it on more than once");
    this.#saving = this.#saving.then(async () => {
      if (this.#broken) return;
      try {
        await this.#save(mark, safePosition);
      } catch (error) {
        this.#broken = true;
        this.#parts.failed(error);
      }
    });
  }

  /**
   * Everything is written: settles when it is saved, or can't be any more. At the end of a finite input nothing is kept, so
   * that it can be worked on again.
   */
  async end(): Promise<void> {
    await this.#saving;
    const { claim, patience } = this.#parts;
    if (!this.#broken && this.#watermark === END_OF_INPUT) await patience.until((signal) => claim.finish(signal));
  }

  /** The pipeline has failed: what is being saved may come to its end, but a store that is away is not waited for. */
  async giveUp(): Promise<void> {
    this.#parts.patience.giveUp();
    await this.#saving;
  }

  #barrier(): Batch {
    const barrier = new StateBarrier(++this.#number);
    const position = this.#position ?? 0;
    this.#marks.push({ barrier, position });
    this.#changed = false;
    this.#since = this.#parts.clock.elapsed();
    return { events: [], position, watermark: this.#watermark, barrier };
  }

  async #save(mark: Mark, safePosition: Position): Promise<void> {
    const { task, partition, claim, patience, clock, logger } = this.#parts;
    const { barrier, position } = mark;
    const added = new Map<string, Uint8Array>();
    const entries = new Map<string, SavedStepEntry>();
    for (const [index, name] of [...this.#states.keys()].entries()) entries.set(name, await this.#entry(barrier, name, index, added));
    const manifest: Manifest = {
      task: task.id,
      product: task.product,
      partition: partition.name,
      position,
      safePosition: Math.min(safePosition, position),
      edition: partition.edition,
      time: clock.now(),
      version: VERSION,
      number: barrier.number,
      steps: [...entries.values()],
    };
    const kept = partsIn(manifest);
    const dropped = [...partsIn({ steps: [...this.#entries.values()] })].filter((part) => !kept.has(part));
    const bytes = { manifest: encodeManifest(manifest), added, dropped };
    await patience.until((signal) => claim.save(bytes, signal));
    this.#entries = entries;
    this.#marks = this.#marks.filter((other) => other !== mark);
    logger.debug({ position, parts: added.size, bytes: bytes.manifest.length }, "a checkpoint was saved");
    await partition.commit(position, "state");
  }

  async #entry(barrier: StateBarrier, name: string, index: number, added: Map<string, Uint8Array>): Promise<SavedStepEntry> {
    const step = this.#parts.steps.find((candidate) => candidate.name === name);
    const part = barrier.parts.get(name);
    if (step?.memory === undefined || part === undefined) {
      throw new StateError(
        `step "${name}": it passed a barrier on without saving its state; call run.memory.save(batch.barrier, …) before`,
      );
    }
    const { value, log } = await part;
    const prefix = `${this.#owner}-${barrier.number}-${index}`;
    const before = this.#entries.get(name)?.segments ?? [];
    const segments: SegmentEntry[] = before.filter(({ number }) => !log.dropped.includes(number));
    for (const segment of log.added) {
      const bytes = await packSegment(segment);
      // A manifest is written anew each time: only the one segment of a small state stands in it.
      const placed =
        segments.length === 0 ? place(bytes, `${prefix}-${segment.number}`, added) : inParts(bytes, `${prefix}-${segment.number}`, added);
      segments.push({ number: segment.number, weight: segment.weight, bytes: placed });
    }
    return { name, shape: step.memory.shape, value: place(value, `${prefix}-v`, added), segments };
  }
}

/** Leaves bytes in the manifest, or cuts them into parts. */
function place(bytes: Uint8Array, prefix: string, added: Map<string, Uint8Array>): Bytes {
  return bytes.length <= INLINE ? bytes : inParts(bytes, prefix, added);
}

function inParts(bytes: Uint8Array, prefix: string, added: Map<string, Uint8Array>): Bytes {
  const parts = partsOf(bytes).map((part, index) => {
    const id = `${prefix}-${index}`;
    added.set(id, part);
    return id;
  });
  return { parts, crc: crc32(bytes), length: bytes.length };
}
