/**
 * The module that runs an ONNX model in a child process: what `processes` hosts for `onnx`.
 */
import { defineModel } from "../../model.ts";
import type { ModelFile } from "./model-file.ts";
import { OnnxModel } from "./onnx-model.ts";
import type { OnnxModelOptions } from "./options.ts";

/** What it is loaded with. */
export interface ProcessModelSettings {
  readonly file: ModelFile;
  readonly options: OnnxModelOptions;
}

let loaded: OnnxModel | undefined;

export default defineModel<unknown, unknown>({
  get inputs() {
    return loaded?.types.inputs;
  },
  get outputs() {
    return loaded?.types.outputs;
  },
  async load({ settings }) {
    const { file, options } = settings as ProcessModelSettings;
    loaded = await OnnxModel.open(file, options);
  },
  predict(rows) {
    if (loaded === undefined) throw new Error("the model is not loaded");
    return loaded.predict(rows);
  },
  async unload() {
    await loaded?.[Symbol.asyncDispose]();
    loaded = undefined;
  },
});
