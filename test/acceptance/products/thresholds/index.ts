import { decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, z } from "millrace";

interface Reading {
  readonly value: number;
}

/** Marks readings above a limit, by a model that takes its time. */
export default defineProduct({
  name: "thresholds",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig, limit: z.strictObject({ above: z.number() }) }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map(decode.json<Reading>)
      .infer(async (readings) => {
        await new Promise((resolve) => setTimeout(resolve, 1));
        return readings.map((reading) => ({ ...reading, high: reading.value > config.limit.above }));
      })
      .to(sink(config.output)),
});
