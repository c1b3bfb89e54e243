import type { InferenceSession, OnnxValue } from "onnxruntime-node";

import { ConfigError, messageOf } from "../../errors.ts";
import type { ModelIdentity } from "../../model-stats.ts";
import { FailedOutput } from "../../pipeline/infer.ts";
import { datatypeOfOnnx, onnxNameOf } from "../tensors/datatypes.ts";
import { PackingMemory } from "../tensors/packing-memory.ts";
import type { TensorModel } from "../tensors/predict.ts";
import { predictRows } from "../tensors/predict.ts";
import type { Datatype, Tensor, TensorData, TensorType } from "../tensors/tensor.ts";
import { describeOutputs, describeTypes, inputTypes, outputNames, rowsPerRun } from "./declared.ts";
import type { ModelFile } from "./model-file.ts";
import type { OnnxModelOptions } from "./options.ts";
import { DEFAULT_SETTINGS } from "./options.ts";
import type { Runtime } from "./runtime.ts";
import { onnxRuntime } from "./runtime.ts";

/** A loaded model. A run computes on the thread that asks for it, so there is never more than one at a time. */
export class OnnxModel implements TensorModel, AsyncDisposable {
  readonly identity: ModelIdentity;
  readonly inputs: readonly TensorType[];
  readonly memory = new PackingMemory();
  /** What the inputs and outputs are, for people. */
  readonly types: { readonly inputs: string; readonly outputs: string };
  readonly #path: string;
  readonly #runtime: Runtime;
  readonly #session: InferenceSession;
  readonly #outputs: readonly string[];
  readonly #rows: "any" | "one";
  /** Settles with the run that was begun last: they end in the order in which they begin. */
  #last: Promise<unknown> = Promise.resolve();

  /**
   * Loads it, and has it predict its `warmUp`.
   * @throws {ConfigError} when the file is no model, or none that can be asked for rows
   */
  static async open({ path, identity }: Pick<ModelFile, "path" | "identity">, options: OnnxModelOptions): Promise<OnnxModel> {
    const runtime = await onnxRuntime(path);
    const session = await openSession(runtime, path, options);
    try {
      const model = new OnnxModel(runtime, session, { path, identity, options });
      await model.#warmUp(options.warmUp ?? []);
      return model;
    } catch (error) {
      await session.release();
      throw error;
    }
  }

  private constructor(
    runtime: Runtime,
    session: InferenceSession,
    { path, identity, options }: { readonly path: string; readonly identity: ModelIdentity; readonly options: OnnxModelOptions },
  ) {
    const { inputMetadata, outputMetadata } = session;
    this.identity = identity;
    this.#path = path;
    this.inputs = inputTypes(path, inputMetadata, options.values);
    this.#outputs = outputNames(path, outputMetadata, options.outputs);
    this.#rows = rowsPerRun(path, inputMetadata);
    this.types = { inputs: describeTypes(this.inputs), outputs: describeOutputs(outputMetadata, this.#outputs) };
    this.#runtime = runtime;
    this.#session = session;
  }

  /** One output for each row, in order: see `packRows` and `unpackRows` for what rows are. */
  async predict(rows: readonly unknown[]): Promise<ArrayLike<unknown>> {
    if (this.#rows === "any") return await predictRows(this, rows);
    const outputs: unknown[] = [];
    for (const row of rows) outputs.push((await predictRows(this, [row]))[0]);
    return outputs;
  }

  async run(inputs: readonly Tensor[]): Promise<readonly Tensor[]> {
    const feeds: Record<string, OnnxValue> = {};
    for (const { name, datatype, shape, data } of inputs) feeds[name] = onnxTensor(this.#runtime, datatype, data, shape);
    const running = this.#session.run(feeds, this.#outputs, RUN_OPTIONS);
    this.#last = running.catch(() => undefined);
    const results = await running;
    return this.#outputs.map((name) => resultOf(name, results[name] as OnnxValue));
  }

  async #warmUp(rows: readonly unknown[]): Promise<void> {
    if (rows.length === 0) return;
    let fault: unknown;
    try {
      const refused = Array.from(await this.predict(rows)).find((output) => output instanceof FailedOutput);
      if (refused === undefined) return;
      fault = refused.error;
    } catch (error) {
      fault = error;
    }
    throw new ConfigError([{ where: this.#path, what: `the model fails on its warmUp rows: ${messageOf(fault)}` }], { cause: fault });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#last;
    await this.#session.release();
  }
}

/** A run that fails is told by its error, and needs not be told on the standard error output as well: only what is fatal is. */
const RUN_OPTIONS: InferenceSession.RunOptions = { logSeverityLevel: 4 };

async function openSession(runtime: Runtime, path: string, { settings }: OnnxModelOptions): Promise<InferenceSession> {
  try {
    return await runtime.InferenceSession.create(path, { ...DEFAULT_SETTINGS, ...settings } as InferenceSession.SessionOptions);
  } catch (error) {
    throw new ConfigError([{ where: path, what: `ONNX Runtime can't load the model: ${messageOf(error)}` }], { cause: error });
  }
}

function onnxTensor(runtime: Runtime, datatype: Datatype, data: TensorData, shape: readonly number[]): OnnxValue {
  if (datatype !== "BYTES") return new runtime.Tensor(onnxNameOf(datatype) as "float32", data as Float32Array, shape);
  const texts = (data as readonly (string | Uint8Array)[]).map((text) => (typeof text === "string" ? text : Buffer.from(text).toString()));
  return new runtime.Tensor("string", texts, shape);
}

function resultOf(name: string, { type, dims, data }: OnnxValue): Tensor {
  // That it is one of ours was looked at as the model was loaded.
  return { name, datatype: datatypeOfOnnx(type) as Datatype, shape: dims, data };
}
