import { decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, tumbling, z } from "millrace";

import { day } from "./day.ts";
import { toWeek } from "./features.ts";
import { judge } from "./model.ts";

/** Which weeks were unlike what is usual in their city and month? */
export default defineProduct({
  name: "weather-weeks",
  description: "Finds weeks whose weather is unusual for their city and month",
  config: z.strictObject({
    input: sourceConfig,
    output: sinkConfig,
    threshold: z.number().positive().default(2).describe("standard deviations from the month's climate, from which on a week is unusual"),
  }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map((value) => day.parse(decode.json(value)))
      .keyBy((today) => today.city, { colocated: true })
      .timeBy((today) => Date.parse(today.date))
      .window(tumbling("7d"))
      .map((window) => toWeek(window.start, window.values))
      .infer(judge(config.threshold), { maxInFlight: 4, retries: 2, timeout: "5s" })
      .to(sink(config.output)),
});
