import { fileURLToPath } from "node:url";

import { PlanError } from "../../errors.ts";
import type { ModelRunner, ModelSpec, RunnerContext } from "../../model.ts";
import type { CheckedLaneOptions } from "../lanes/place-options.ts";
import type { ProcessesOptions } from "../lanes/processes.ts";
import { checkedProcessOptions, loadInProcesses } from "../lanes/processes.ts";
import { placed } from "../place.ts";
import type { ModelFile } from "./model-file.ts";
import { lookAt, modelPath } from "./model-file.ts";
import { OnnxModel } from "./onnx-model.ts";
import type { OnnxModelOptions } from "./options.ts";
import type { ProcessModelSettings } from "./process-model.ts";

/** Options of `onnx`; those of `processes` are for `place: "process"`, and do nothing elsewhere. */
export interface OnnxOptions<In = unknown> extends OnnxModelOptions, Omit<ProcessesOptions, "settings"> {
  /**
   * `worker` (default): in the worker itself, which does nothing else while the model computes. `process`: in child processes, for models that
   * are heavy, must be killable or bounded in memory. Never on a thread: one that is ended while ONNX Runtime computes takes its whole process with it.
   */
  readonly place?: "worker" | "process" | undefined;
  /** Default: the file's name without its extension. */
  readonly name?: string | undefined;
  /** Default: the model's own `model_version`, else the first eight characters of the SHA-256 of its file. */
  readonly version?: string | undefined;
  readonly warmUp?: readonly In[] | undefined;
}

/**
 * An ONNX model, run by ONNX Runtime, which has to be installed beside: `npm install onnxruntime-node`.
 *
 * A row is the value of the model's only input, or an object with the values by the inputs' names: a number, text, or an array or typed array with
 * all elements. A result is a number or text where an output has one for each row, else a typed array; of several outputs an object by their names.
 * A row that does not fit, or is not finite, fails alone.
 * @param path `import.meta.resolve("./model.onnx")`, or a path, which counts from the daemon's directory
 * @example
 * stream.infer(onnx<readonly number[], Float32Array>(import.meta.resolve("./digits.onnx"), { place: "process", processes: 2 }))
 * @throws {PlanError} when an option can't be right
 */
export function onnx<In = unknown, Out = unknown>(path: string, options: OnnxOptions<In> = {}): ModelSpec<In, Out> {
  const { place = "worker", processes } = options;
  const lanes = checkedProcessOptions("onnx", options);
  if (place !== "worker" && place !== "process") throw new PlanError(`onnx: place must be "worker" or "process" (got "${String(place)}")`);
  return placed({
    kind: "onnx",
    description: { model: path, in: place, processes: place === "process" ? processes : undefined },
    key: JSON.stringify([path, options]),
    files: [path.startsWith("file:") ? fileURLToPath(path) : path],
    load: async (context) => {
      const file = await lookAt(modelPath(path, context.directory), options);
      return place === "worker" ? await loadHere(file, options) : await loadInProcess(file, options, lanes, context);
    },
  }) as ModelSpec<In, Out>;
}

async function loadHere(file: ModelFile, options: OnnxModelOptions): Promise<ModelRunner> {
  const model = await OnnxModel.open(file, options);
  return {
    identity: file.identity,
    types: model.types,
    capacity: 1,
    run: (rows) => model.predict(rows),
    [Symbol.asyncDispose]: () => model[Symbol.asyncDispose](),
  };
}

const processModel = new URL(`./process-model.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url).href;

async function loadInProcess(
  file: ModelFile,
  { outputs, values, settings, warmUp, ...lanes }: OnnxOptions,
  checked: CheckedLaneOptions,
  context: RunnerContext,
): Promise<ModelRunner> {
  const given: ProcessModelSettings = { file, options: { outputs, values, settings, warmUp } };
  const runner = await loadInProcesses(processModel, { ...lanes, settings: given }, checked, context);
  return {
    identity: file.identity,
    types: runner.types,
    get capacity() {
      return runner.capacity;
    },
    run: (rows, call) => runner.run(rows, call),
    [Symbol.asyncDispose]: () => runner[Symbol.asyncDispose](),
  };
}
