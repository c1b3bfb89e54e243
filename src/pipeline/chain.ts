import type { Batch } from "../batch.ts";
import type { RunContext, StepMemory } from "../contracts.ts";
import type { PlannedStep, Transform } from "./plan.ts";
import { guarded } from "./state/barriers.ts";
import { Truncated } from "./truncated.ts";

/** What else than its steps a chain has. */
export interface ChainOptions {
  /** Each step's part in the checkpoints; undefined when none are made. */
  readonly memory?: ((step: PlannedStep) => StepMemory | undefined) | undefined;
  readonly inlets?: Inlets | undefined;
}

/** Puts the steps of a plan behind an input. Neighbouring transforms share one loop, and so one await a batch. An inlet goes before its step. */
export function chainSteps(
  steps: readonly PlannedStep[],
  input: AsyncIterable<Batch>,
  run: RunContext,
  { memory, inlets = NONE }: ChainOptions = {},
): AsyncIterable<Batch> {
  let output = input;
  let transforms: Transform[] = [];
  for (const [index, step] of steps.entries()) {
    const inlet = inlets.get(index);
    if (inlet !== undefined) {
      output = inlet(fuse(transforms, output));
      transforms = [];
    }
    const own = memory === undefined ? run : { ...run, memory: memory(step) };
    if (step.work.type === "transform") {
      transforms.push(step.work.make(own));
      continue;
    }
    const work = memory !== undefined && step.kind === "via" ? guarded(step.name, step.work.step) : step.work.step;
    output = work(fuse(transforms, output), own);
    transforms = [];
  }
  output = fuse(transforms, output);
  return inlets.get(steps.length)?.(output) ?? output;
}

/** Where events go on that were put back, by the index of the step before which that is. */
export type Inlets = ReadonlyMap<number, (input: AsyncIterable<Batch>) => AsyncIterable<Batch>>;

const NONE: Inlets = new Map();

function fuse(transforms: readonly Transform[], input: AsyncIterable<Batch>): AsyncIterable<Batch> {
  return transforms.length === 0 ? input : transformAll(transforms, input);
}

async function* transformAll(transforms: readonly Transform[], input: AsyncIterable<Batch>): AsyncGenerator<Batch> {
  for await (const batch of input) {
    let current = batch;
    let failure: unknown;
    for (const transform of transforms) {
      try {
        current = transform(current);
      } catch (thrown) {
        if (!(thrown instanceof Truncated)) throw thrown;
        current = thrown.batch;
        failure = thrown.error;
      }
    }
    yield current;
    if (failure !== undefined) throw failure;
  }
}
