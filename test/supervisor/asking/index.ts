/** A product that asks a model about numbers, without end. The tests copy its folder into a product folder. */
import { defineProduct, from, http, processes, sink, source, threads, worker, z } from "millrace";

import type model from "./model.ts";

const url = import.meta.resolve("./model.ts");

export default defineProduct({
  name: "asking",
  config: z.strictObject({
    out: z.string(),
    rate: z.number().default(200),
    place: z.enum(["worker", "threads", "processes", "http"]).default("worker"),
    /** The model is loaded only while there is a file of this name. */
    gate: z.string().optional(),
    /** Where the place `http` asks. */
    url: z.string().default("http://127.0.0.1:1"),
  }),
  pipeline: ({ config: { out, rate, place, gate, url: endpoint } }) => {
    const settings = { gate };
    const places = {
      worker: () => worker<typeof model>(url, { settings }),
      threads: () => threads<typeof model>(url, { settings }),
      processes: () => processes<typeof model>(url, { settings }),
      http: () => http<number, number>({ name: "doubled", url: endpoint, breaker: { failures: 1, wait: "200ms" } }),
    };
    return from(source({ generator: { rate, format: "json" } }))
      .map((reading) => (reading as { readonly sequence: number }).sequence)
      .infer(places[place]())
      .to(sink({ file: { path: out } }));
  },
});
