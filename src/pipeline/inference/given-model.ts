import type { ModelSpec } from "../../model.ts";
import type { InferOptions } from "../infer.ts";

/** Whether what was given is a model and its place, and not a function. */
export function isModel(given: unknown): given is ModelSpec {
  return typeof given === "object" && given !== null && typeof (given as Partial<ModelSpec>).open === "function" && "kind" in given;
}

/** Options with what a model's place says where they say nothing. */
export function withDefaults(options: InferOptions, given: unknown): InferOptions {
  if (!isModel(given)) return options;
  const { retries, maxSize } = given.defaults ?? {};
  return {
    ...options,
    retries: options.retries ?? retries,
    batch: { ...options.batch, maxSize: options.batch?.maxSize ?? maxSize },
  };
}
