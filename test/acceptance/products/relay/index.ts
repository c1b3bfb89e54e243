import { decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, z } from "millrace";

/** NEXMark's second query: every bid with its price in another currency. Keeps no state. */
export default defineProduct({
  name: "relay",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map(decode.json<{ readonly price: number }>, { name: "decode" })
      .map((bid) => ({ ...bid, price: Math.round(bid.price * 0.908) }), { name: "exchange" })
      .to(sink(config.output)),
});
