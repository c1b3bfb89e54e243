import { decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, z } from "millrace";

import { inEuros } from "./rate.ts";

interface Bid {
  readonly price: number | null;
}

/** Every bid with its price in another currency. What it can't do becomes a dead letter where there is a place for them. */
export default defineProduct({
  name: "exchange",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig, letters: sinkConfig.optional() }),
  pipeline: ({ config }) => {
    const bids = from(source(config.input))
      .map(decode.json<Bid>, { name: "decode" })
      .map((bid) => ({ ...bid, price: inEuros(bid.price) }), { name: "exchange" });
    return (config.letters === undefined ? bids : bids.deadLetter(sink(config.letters))).to(sink(config.output));
  },
});
