import { decode, defineProduct, from, processes, sink, sinkConfig, source, sourceConfig, threads, z } from "millrace";

import type model from "./model.ts";

interface Reading {
  readonly sequence: number;
}

/** A model that harms the thread or process that it runs in. */
export default defineProduct({
  name: "frail",
  config: z.strictObject({
    input: sourceConfig,
    output: sinkConfig,
    place: z.enum(["threads", "processes"]),
    marks: z.string().optional(),
  }),
  pipeline: ({ config }) => {
    const url = import.meta.resolve("./model.ts");
    const settings = { marks: config.marks };
    const place =
      config.place === "threads"
        ? threads<typeof model>(url, { threads: 2, settings, memoryLimitMb: 64, hangAfter: "1s" })
        : processes<typeof model>(url, { processes: 2, settings, memoryLimitMb: 400, hangAfter: "1s" });
    return from(source(config.input))
      .map(decode.json<Reading>, { name: "decode" })
      .infer(place, { batch: { maxSize: 16 } })
      .map(String, { name: "text" })
      .to(sink(config.output));
  },
});
