/**
 * The module that runs an ONNX model in a child process: what `processes` hosts for `onnx`.
 */
import { ConfigError } from "../../errors.ts";
import { defineModel } from "../../model.ts";
import type { ModelFile } from "./model-file.ts";
import { lookAt } from "./model-file.ts";
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
    const { identity, hash } = await lookAt(file.path, file.identity);
    // A process that takes the place of another must not answer by a new file in the old one's name.
    if (hash !== file.hash) {
      const what = `it is not what ${identity.name}@${identity.version} was loaded from any more: it serves again once the new file is loaded`;
      throw new ConfigError([{ where: file.path, what }]);
    }
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
