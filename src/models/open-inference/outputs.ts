import { RefusedError } from "../../errors.ts";
import type { Tensor, TensorType } from "../tensors/tensor.ts";

/**
 * The outputs that are wanted, in their order. How many rows they have is checked where they are cut into rows.
 * @param wanted undefined for all that came
 * @throws {RefusedError} when one is missing, or of another type or shape
 */
export function wantedOutputs(outputs: readonly Tensor[], wanted: readonly TensorType[] | undefined): readonly Tensor[] {
  if (wanted === undefined) return outputs;
  return wanted.map((type, index) => {
    // Servers answer in the order in which they are asked.
    const output = outputs[index]?.name === type.name ? outputs[index] : outputs.find(({ name }) => name === type.name);
    if (output === undefined) throw new RefusedError(`the reply has no output "${type.name}": it has ${namesOf(outputs)}`);
    const { name, datatype, shape } = output;
    if (datatype !== type.datatype) throw new RefusedError(`output "${name}" is ${datatype}, not ${type.datatype}`);
    if (!fits(shape, type.shape))
      throw new RefusedError(
        `output "${name}" has the shape [${shape.join(",")}], where a row has [${type.shape.map((size) => size ?? -1).join(",")}]`,
      );
    return output;
  });
}

function namesOf(outputs: readonly Tensor[]): string {
  return outputs.length === 0 ? "none" : outputs.map(({ name }) => `"${name}"`).join(", ");
}

/** Whether a shape is that of rows. */
function fits(shape: readonly number[], row: TensorType["shape"]): boolean {
  return shape.length === row.length + 1 && row.every((size, index) => size === undefined || size < 0 || size === shape[index + 1]);
}
