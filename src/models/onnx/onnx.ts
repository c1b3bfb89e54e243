import { fileURLToPath } from "node:url";

import type { ModelRunner, ModelSpec, RunnerContext } from "../../model.ts";
import { placed } from "../place.ts";
import { lookAt, modelPath } from "./model-file.ts";
import { OnnxModel } from "./onnx-model.ts";
import type { OnnxModelOptions } from "./options.ts";

/** Options of `onnx`. */
export interface OnnxOptions<In = unknown> extends OnnxModelOptions {
  /** Default: the file's name without its extension. */
  readonly name?: string | undefined;
  /** Default: the model's own `model_version`, else the first eight characters of the SHA-256 of its file. */
  readonly version?: string | undefined;
  /** Rows that it is given before events, so that the first of them finds it warm. */
  readonly warmUp?: readonly In[] | undefined;
}

/**
 * An ONNX model, run by ONNX Runtime, which has to be installed beside: `npm install onnxruntime-node`.
 *
 * A row is the value of its only input, or an object with the values by the inputs' names; an output is a number, or a typed array, of each row, or an object with
 * those by the outputs' names.
 * @param path `import.meta.resolve("./model.onnx")`, or a path, which counts from the daemon's folder
 * @example
 * stream.infer(onnx<number[], Float32Array>(import.meta.resolve("./digits.onnx")))
 */
export function onnx<In = unknown, Out = unknown>(path: string, options: OnnxOptions<In> = {}): ModelSpec<In, Out> {
  return placed({
    kind: "onnx",
    description: { model: path },
    key: JSON.stringify([path, options]),
    files: [path.startsWith("file:") ? fileURLToPath(path) : path],
    load: (context) => loadInWorker(path, options, context),
  }) as ModelSpec<In, Out>;
}

async function loadInWorker(path: string, options: OnnxOptions, { directory }: RunnerContext): Promise<ModelRunner> {
  const file = await lookAt(modelPath(path, directory), options);
  const model = await OnnxModel.load(file.path, file.identity, options);
  try {
    await model.warmUp(options.warmUp ?? []);
  } catch (error) {
    await model[Symbol.asyncDispose]();
    throw error;
  }
  return {
    identity: file.identity,
    types: model.types,
    capacity: 1,
    run: (rows) => model.predict(rows),
    [Symbol.asyncDispose]: () => model[Symbol.asyncDispose](),
  };
}
