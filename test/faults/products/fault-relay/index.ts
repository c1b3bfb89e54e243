import { decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, z } from "millrace";

interface Read {
  readonly fate: string;
}

/** Passes records on that are to be kept, and can't pass poison, which goes to the letters where there is a place for them. Keeps no state. */
export default defineProduct({
  name: "fault-relay",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig, letters: sinkConfig.optional() }),
  pipeline: ({ config: { input, output, letters } }) =>
    (letters === undefined ? from(source(input)) : from(source(input)).deadLetter(sink(letters)))
      .map(decode.json<Read>, { name: "decode" })
      .tap(
        ({ fate }) => {
          if (fate === "poison") throw new Error("this record is poison");
        },
        { name: "taste" },
      )
      .filter(({ fate }) => fate === "keep")
      .to(sink(output)),
});
