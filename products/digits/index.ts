import { defineProduct, from, onnx, sink, sinkConfig, source, sourceConfig, z } from "millrace";

import { readDigits } from "./read-digits.ts";

/** Which digit is in the picture? */
export default defineProduct({
  name: "digits",
  description: "Reads handwritten digits",
  config: z.strictObject({
    input: sourceConfig,
    output: sinkConfig,
    deadLetters: sinkConfig.optional(),
    place: z
      .enum(["worker", "process"])
      .default("worker")
      .describe("where the model computes: in the worker itself, or in child processes"),
  }),
  pipeline: ({ config }) => {
    const model = onnx<readonly number[], Float32Array>(import.meta.resolve("./digits.onnx"), { place: config.place });
    const readings = readDigits(from(source(config.input)), model);
    return (config.deadLetters === undefined ? readings : readings.deadLetter(sink(config.deadLetters))).to(sink(config.output));
  },
});
