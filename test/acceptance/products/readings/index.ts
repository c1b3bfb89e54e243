import { count, decode, defineProduct, from, mean, sink, sinkConfig, source, sourceConfig, tumbling, z } from "millrace";

interface Reading {
  readonly key: string;
  readonly at: number;
  readonly value: number;
}

/** Means of each ten seconds for each key. */
export default defineProduct({
  name: "readings",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map(decode.json<Reading>)
      .keyBy((reading) => reading.key)
      .timeBy((reading) => reading.at)
      .window(tumbling("10s"), { fold: { n: count(), mean: mean((reading) => reading.value) } })
      .to(sink(config.output)),
});
