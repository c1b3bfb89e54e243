import { decode, defineProduct, from, onnx, sink, sinkConfig, source, sourceConfig, z } from "millrace";

const PIXELS = 784;

const decoders = {
  parse: (value: unknown) => decode.json<{ readonly pixels: readonly number[] }>(value).pixels,
  scan: decode.tensor({ field: "pixels", shape: PIXELS }),
  u8: decode.tensor({ encoding: "uint8", shape: PIXELS, scale: 1 / 255 }),
};

/** Which digit is in the picture? Its id is the record's key. */
export default defineProduct({
  name: "crayfish",
  config: z.strictObject({ decoder: z.enum(["parse", "scan", "u8"]), input: sourceConfig, output: sinkConfig }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map<ArrayLike<number>>(decoders[config.decoder])
      .infer(onnx<ArrayLike<number>, Float32Array>(import.meta.resolve("../../crayfish/ffnn.onnx")))
      .map((probabilities, event) => ({ id: event.key, class: indexOfLargest(probabilities), probs: rounded(probabilities) }))
      .to(sink(config.output)),
});

function indexOfLargest(probabilities: Float32Array): number {
  let best = 0;
  for (let index = 1; index < probabilities.length; index++) {
    if ((probabilities[index] as number) > (probabilities[best] as number)) best = index;
  }
  return best;
}

/** To six decimals. */
function rounded(probabilities: Float32Array): number[] {
  const numbers: number[] = [];
  for (let index = 0; index < probabilities.length; index++) numbers.push(Math.round((probabilities[index] as number) * 1e6) / 1e6);
  return numbers;
}
