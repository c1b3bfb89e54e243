import { ModelError } from "../../errors.ts";
import type { ModelIdentity } from "../../model-stats.ts";
import { failed } from "../../pipeline/infer.ts";
import type { Packing } from "./pack.ts";
import { packRows } from "./pack.ts";
import type { PackingMemory } from "./packing-memory.ts";
import type { Tensor, TensorType } from "./tensor.ts";
import { unpackRows } from "./unpack.ts";
import type { AllocateData } from "./writer.ts";

/** A model over tensors. */
export interface TensorModel {
  readonly identity: ModelIdentity;
  readonly inputs: readonly TensorType[];
  /** Memory for the elements of inputs; default: typed arrays of their own. */
  readonly allocate?: AllocateData | undefined;
  /** The same, used again for one call after the other: where whoever runs it has ended with its inputs as soon as `run` settles. */
  readonly memory?: PackingMemory | undefined;
  /** One output tensor or more, each with as many rows as the inputs have. */
  run(inputs: readonly Tensor[], rowCount: number): Promise<readonly Tensor[]>;
}

/**
 * Asks a model over tensors for rows: a row that is no input of it fails alone, the others are answered.
 * @returns one output for each row, in order
 */
export function predictRows(model: TensorModel, rows: readonly unknown[]): Promise<ArrayLike<unknown>> {
  return model.memory === undefined ? predictPacked(model, rows, model.allocate) : predictIn(model.memory, model, rows);
}

async function predictIn(kept: PackingMemory, model: TensorModel, rows: readonly unknown[]): Promise<ArrayLike<unknown>> {
  using memory = kept.borrow();
  return await predictPacked(model, rows, memory?.allocate ?? model.allocate);
}

function predictPacked(model: TensorModel, rows: readonly unknown[], allocate: AllocateData | undefined): Promise<ArrayLike<unknown>> {
  const packing = packRows(rows, model.inputs, allocate);
  const [first] = packing.packed;
  if (first === undefined || first.rows.length < rows.length) return predictApart(model, rows.length, packing);
  return model.run(first.tensors, rows.length).then((outputs) => unpackRows(outputs, rows.length));
}

/** Where rows are of several shapes, or bad. */
async function predictApart(model: TensorModel, count: number, { packed, bad }: Packing): Promise<ArrayLike<unknown>> {
  const outputs: unknown[] = Array.from({ length: count });
  for (const { index, error } of bad) outputs[index] = failed(new ModelError(model.identity, error));
  for (const { tensors, rows: indexes } of packed) {
    // One after the other: whoever asks knows how many calls the model takes at a time.
    const answered = unpackRows(await model.run(tensors, indexes.length), indexes.length);
    for (const [at, index] of indexes.entries()) outputs[index] = answered[at];
  }
  return outputs;
}
