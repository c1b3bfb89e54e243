import { count, decode, defineProduct, from, max, min, sink, sinkConfig, source, sourceConfig, sum, tumbling, z } from "millrace";

interface Bid {
  readonly auction: number;
  readonly price: number;
  readonly dateTime: number;
}

/** What was bid in each auction in each ten seconds. A bid for auction 0 only moves time. */
export default defineProduct({
  name: "hot-auctions",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig, outOfOrderness: z.string() }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map(decode.json<Bid>, { name: "decode" })
      .timeBy((bid) => bid.dateTime, { outOfOrderness: config.outOfOrderness })
      .filter((bid) => bid.auction > 0)
      .keyBy((bid) => String(bid.auction), { colocated: true })
      .window(tumbling("10s"), {
        fold: { bids: count(), total: sum((bid) => bid.price), least: min((bid) => bid.price), most: max((bid) => bid.price) },
      })
      .to(sink(config.output)),
});
