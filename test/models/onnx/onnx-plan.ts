import { fileURLToPath } from "node:url";

import type { ModelSpec, OnnxOptions, Plan } from "millrace";
import { from, memorySink, memorySource, onnx, sink } from "millrace";

/** The absolute path of a model that make-models.py made. */
export function modelFile(name: string): string {
  return fileURLToPath(new URL(`./${name}.onnx`, import.meta.url));
}

/** A pipeline that asks such a model. */
export function onnxPlan(name: string, options: OnnxOptions = {}): Plan {
  return planOfModel(onnx(modelFile(name), options));
}

/** A pipeline that asks a model, once more where that may help, and lets what it can't take be dead letters. */
export function planOfModel(model: ModelSpec): Plan {
  return from(memorySource<unknown>([]))
    .infer(model, { retries: 1, backoffFactor: 0 })
    .deadLetter(sink({ file: { path: "unused" } }))
    .to(memorySink());
}
