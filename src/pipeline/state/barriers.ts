import type { Batch, Barrier } from "../../batch.ts";
import type { Clock } from "../../clock.ts";
import type { RunContext, Step } from "../../contracts.ts";
import { TICK, withTimer } from "../with-timer.ts";
import type { PartitionCheckpoints } from "./checkpoints.ts";
import { StateError } from "./step-state.ts";

/** Puts barriers between the batches of a source when they are due, and one behind the last. */
export async function* withBarriers(input: AsyncIterable<Batch>, checkpoints: PartitionCheckpoints, clock: Clock): AsyncGenerator<Batch> {
  for await (const batch of withTimer(input, clock, () => checkpoints.left)) {
    if (batch !== TICK) {
      checkpoints.read(batch);
      yield batch;
    }
    await checkpoints.ready();
    const barrier = checkpoints.next();
    if (barrier !== undefined) yield barrier;
  }
  const last = checkpoints.last();
  if (last !== undefined) yield last;
}

/** Looks whether a step of a product's own passes barriers on: without that no checkpoint would ever be saved, and nothing would say so. */
export function guarded(name: string, step: Step<unknown, unknown>): Step<unknown, unknown> {
  return async function* (input: AsyncIterable<Batch>, run: RunContext) {
    const inside: { readonly barrier: Barrier; readonly position: number }[] = [];
    const noted = async function* (): AsyncGenerator<Batch> {
      for await (const batch of input) {
        if (batch.barrier !== undefined) inside.push({ barrier: batch.barrier, position: batch.position });
        yield batch;
      }
    };
    for await (const batch of step(noted(), run)) {
      const [next] = inside;
      if (next !== undefined && batch.barrier === next.barrier) inside.shift();
      else if (next !== undefined && batch.position > next.position) refuse(name);
      yield batch;
    }
    if (inside.length > 0) refuse(name);
  };
}

function refuse(name: string): never {
  throw new StateError(
    `step "${name}": it dropped the barrier of a checkpoint; give on each batch's barrier, as with { ...batch, events } or { events, position, watermark, barrier: batch.barrier }`,
  );
}
