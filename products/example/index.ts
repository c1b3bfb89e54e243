import { decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, z } from "millrace";

/** The answer to "what is a product": what a task can set, and how its pipeline is built. */
export default defineProduct({
  name: "example",
  description: "Doubles numbers",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig, factor: z.number().default(2) }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map(decode.json<{ readonly n: number }>)
      .filter((message) => Number.isFinite(message.n))
      .infer(async (messages) => messages.map((message) => ({ n: message.n * config.factor })))
      .to(sink(config.output)),
});
