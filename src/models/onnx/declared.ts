/**
 * What an ONNX model says of its inputs and outputs, and whether it can be asked for rows.
 */
import type { InferenceSession } from "onnxruntime-node";

import { ConfigError } from "../../errors.ts";
import { datatypeOfOnnx } from "../tensors/datatypes.ts";
import type { TensorType } from "../tensors/tensor.ts";

type Declared = InferenceSession.ValueMetadata;

/** @throws {ConfigError} when an input can't hold rows, or is of a type that no tensor has */
export function inputTypes(path: string, declared: readonly Declared[], values: TensorType["values"]): readonly TensorType[] {
  if (declared.length === 0) throw fault(path, "it has no input");
  return declared.map((input): TensorType => {
    const { name, type, shape } = tensorOf(path, "input", input);
    const datatype = datatypeOfOnnx(type);
    if (datatype === undefined)
      throw fault(path, `its input "${name}" is of the type ${type}, which is not supported: export it with float32 inputs`);
    if (shape.length === 0)
      throw fault(path, `its input "${name}" has no dimension for rows: export it with a first dimension of any size`);
    return { name, datatype, shape: shape.slice(1).map((size) => (typeof size === "number" ? size : undefined)), values };
  });
}

/**
 * The outputs to ask for.
 * @throws {ConfigError} when there is none of that name, or it is no tensor
 */
export function outputNames(path: string, declared: readonly Declared[], wanted: readonly string[] | undefined): readonly string[] {
  const all = declared.map(({ name }) => name);
  if (wanted?.length === 0) throw fault(path, `none of its outputs is wanted: it has ${all.join(", ")}`);
  return (wanted ?? all).map((name) => {
    const output = declared.find((candidate) => candidate.name === name);
    if (output === undefined) throw fault(path, `it has no output "${name}": it has ${all.join(", ")}`);
    const { type } = tensorOf(path, "output", output);
    if (datatypeOfOnnx(type) === undefined) throw fault(path, `its output "${name}" is of the type ${type}, which is not supported`);
    return name;
  });
}

/**
 * How many rows it takes in a run.
 * @throws {ConfigError} when it is a fixed number other than one
 */
export function rowsPerRun(path: string, declared: readonly Declared[]): "any" | "one" {
  const sizes = declared.flatMap((input) => (input.isTensor ? [input.shape[0]] : []));
  const fixed = sizes.find((size) => typeof size === "number" && size !== 1);
  if (fixed !== undefined)
    throw fault(
      path,
      `it takes exactly ${fixed} rows at a time: export it with a first dimension of any size, or set settings.freeDimensionOverrides`,
    );
  return sizes.includes(1) ? "one" : "any";
}

/** For people: `pixels FP32 [64]`. */
export function describeTypes(types: readonly TensorType[]): string {
  return types.map(({ name, datatype, shape }) => `${name} ${datatype} [${shape.map((size) => size ?? "any").join(",")}]`).join(", ");
}

/** For people, of outputs: `probabilities float32 [10]`. */
export function describeOutputs(declared: readonly Declared[], names: readonly string[]): string {
  return names
    .map((name) => {
      const output = declared.find((candidate) => candidate.name === name);
      return output?.isTensor === true ? `${name} ${output.type} [${output.shape.slice(1).join(",")}]` : name;
    })
    .join(", ");
}

function tensorOf(path: string, what: "input" | "output", declared: Declared): InferenceSession.TensorValueMetadata {
  if (declared.isTensor) return declared;
  const advice =
    what === "output"
      ? "name those that are in outputs, or export the model without it (for scikit-learn: zipmap=False)"
      : "it can't be used";
  throw fault(path, `its ${what} "${declared.name}" is no tensor: ${advice}`);
}

function fault(path: string, what: string): ConfigError {
  return new ConfigError([{ where: path, what: `the model can't be asked for rows: ${what}` }]);
}
