import { decode, defineProduct, from, model, modelConfig, sink, sinkConfig, source, sourceConfig, z } from "millrace";

import type { Image } from "./image.ts";
import { toReading } from "./image.ts";

/** Pictures → for each the probabilities of the digits from 0 to 9. */
type Digits = (pictures: readonly Image["pixels"][]) => ArrayLike<number>[];

/** Which digit is in the picture? */
export default defineProduct({
  name: "digits",
  description: "Reads handwritten digits",
  config: z.strictObject({
    input: sourceConfig,
    output: sinkConfig,
    deadLetters: sinkConfig.optional(),
    model: modelConfig.default("worker"),
  }),
  pipeline: ({ config }) => {
    const readings = from(source(config.input))
      .map(decode.json<Image>)
      .keyBy((image) => image.id)
      .map((image) => image.pixels)
      .infer(model<Digits>(config.model, import.meta.resolve("./digits.onnx")), { maxInFlight: 4 })
      .map((probabilities, event) => toReading(event.key ?? "", probabilities));
    return (config.deadLetters === undefined ? readings : readings.deadLetter(sink(config.deadLetters))).to(sink(config.output));
  },
});
