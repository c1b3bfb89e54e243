import { count, decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, tumbling, z } from "millrace";

/** Counts bids by auction in windows of ten seconds. */
export default defineProduct({
  name: "count",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map(decode.json<{ readonly auction: number; readonly dateTime: number }>)
      .keyBy((bid) => bid.auction)
      .timeBy((bid) => bid.dateTime)
      .window(tumbling("10s"), { fold: count() })
      .map(({ key, start, end, value }) => ({ key, start, end, count: value }))
      .to(sink(config.output)),
});
