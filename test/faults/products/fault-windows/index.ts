import { count, decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, sum, tumbling, z } from "millrace";

interface Read {
  readonly key: string;
  readonly seq: number;
  readonly at: number;
  readonly fate: string;
}

/** Counts the records of each key in each ten seconds. Ticks and what is filtered only move time. */
export default defineProduct({
  name: "fault-windows",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig, disorder: z.string().default("0s") }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map(decode.json<Read>, { name: "decode" })
      .timeBy((record) => record.at, { outOfOrderness: config.disorder })
      .filter((record) => record.fate === "keep")
      .keyBy((record) => record.key, { colocated: true })
      .window(tumbling("10s"), { fold: { records: count(), sum: sum((record) => record.seq) } })
      .to(sink(config.output)),
});
