/** A product that asks a model about numbers, without end. The tests copy its folder into a product folder. */
import { defineProduct, from, sink, source, worker, z } from "millrace";

import type model from "./model.ts";

export default defineProduct({
  name: "asking",
  config: z.strictObject({ out: z.string(), rate: z.number().default(200) }),
  pipeline: ({ config }) =>
    from(source({ generator: { rate: config.rate, format: "json" } }))
      .map((reading) => (reading as { readonly sequence: number }).sequence)
      .infer(worker<typeof model>(import.meta.resolve("./model.ts")))
      .to(sink({ file: { path: config.out } })),
});
