import type { Batch } from "../batch.ts";
import type { RunContext } from "../contracts.ts";
import type { DataError } from "../errors.ts";
import type { PlannedStep, Transform } from "./plan.ts";
import { Truncated } from "./truncated.ts";

/** Puts the steps of a plan behind an input. Neighbouring transforms share one loop, and so one await a batch. */
export function chainSteps(steps: readonly PlannedStep[], input: AsyncIterable<Batch>, run: RunContext): AsyncIterable<Batch> {
  let output = input;
  let transforms: Transform[] = [];
  for (const step of steps) {
    if (step.work.type === "transform") {
      transforms.push(step.work.make(run));
      continue;
    }
    output = step.work.step(fuse(transforms, output), run);
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
    let failure: DataError | undefined;
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
