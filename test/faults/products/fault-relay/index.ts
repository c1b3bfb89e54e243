import { decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, z } from "millrace";

interface Read {
  readonly fate: string;
}

/** Passes records on that are to be kept, and can't pass poison. Keeps no state. */
export default defineProduct({
  name: "fault-relay",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map(decode.json<Read>, { name: "decode" })
      .tap(
        ({ fate }) => {
          if (fate === "poison") throw new Error("this record is poison");
        },
        { name: "taste" },
      )
      .filter(({ fate }) => fate === "keep")
      .to(sink(config.output)),
});
