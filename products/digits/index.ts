import { decode, defineProduct, from, onnx, sink, sinkConfig, source, sourceConfig, z } from "millrace";

import type { Image } from "./image.ts";
import { toReading } from "./image.ts";

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
    const readings = from(source(config.input))
      .map(decode.json<Image>)
      .keyBy((image) => image.id)
      .map((image) => image.pixels)
      .infer(onnx<readonly number[], Float32Array>(import.meta.resolve("./digits.onnx"), { place: config.place }), { maxInFlight: 4 })
      .map((probabilities, event) => toReading(event.key ?? "", probabilities));
    return (config.deadLetters === undefined ? readings : readings.deadLetter(sink(config.deadLetters))).to(sink(config.output));
  },
});
