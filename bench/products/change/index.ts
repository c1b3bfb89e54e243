import { decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, z } from "millrace";

/** Parses bids, changes a field, and writes them back. */
export default defineProduct({
  name: "change",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map(decode.json<{ price: number }>)
      .map((bid) => {
        bid.price *= 0.908;
        return bid;
      })
      .to(sink(config.output)),
});
