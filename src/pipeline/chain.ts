import type { Batch } from "../batch.ts";
import type { RunContext, StepMemory } from "../contracts.ts";
import type { PlannedStep, Transform } from "./plan.ts";
import { guarded } from "./state/barriers.ts";
import { Truncated } from "./truncated.ts";

/**
 * Puts the steps of a plan behind an input. Neighbouring transforms share one loop, and so one await a batch.
 * @param memory each step's part in the checkpoints; undefined when none are made
 */
export function chainSteps(
  steps: readonly PlannedStep[],
  input: AsyncIterable<Batch>,
  run: RunContext,
  memory?: (step: PlannedStep) => StepMemory | undefined,
): AsyncIterable<Batch> {
  let output = input;
  let transforms: Transform[] = [];
  for (const step of steps) {
    const own = memory === undefined ? run : { ...run, memory: memory(step) };
    if (step.work.type === "transform") {
      transforms.push(step.work.make(own));
      continue;
    }
    const work = memory !== undefined && step.kind === "via" ? guarded(step.name, step.work.step) : step.work.step;
    output = work(fuse(transforms, output), own);
    transforms = [];
  }
  return fuse(transforms, output);
}

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
