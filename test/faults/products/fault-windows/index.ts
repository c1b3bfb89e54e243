import { count, decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, type Step, sum, tumbling, z } from "millrace";

interface Read {
  readonly key: string;
  readonly seq: number;
  readonly at: number;
  readonly fate: string;
}

const passOn: Step<Read, Read> = (input) => input;

/**
 * Counts the records of each key in each ten seconds. Ticks and what is filtered only move time; poison goes to the letters, where
 * there is a place for them. `checkpoints: none`: a step says that it has state and not how it is saved.
 */
export default defineProduct({
  name: "fault-windows",
  config: z.strictObject({
    input: sourceConfig,
    output: sinkConfig,
    late: sinkConfig.optional(),
    letters: sinkConfig.optional(),
    disorder: z.string().default("0s"),
    checkpoints: z.enum(["kept", "none"]).default("kept"),
  }),
  pipeline: ({ config: { input, output, late, letters, disorder, checkpoints } }) =>
    (letters === undefined ? from(source(input)) : from(source(input)).deadLetter(sink(letters)))
      .map(decode.json<Read>, { name: "decode" })
      .tap(
        ({ fate }) => {
          if (fate === "poison") throw new Error("this record is poison");
        },
        { name: "taste" },
      )
      .via("hold", passOn, { stateful: checkpoints === "none" })
      .timeBy((record) => record.at, { outOfOrderness: disorder })
      .filter((record) => record.fate === "keep")
      .keyBy((record) => record.key, { colocated: true })
      .window(tumbling("10s"), {
        fold: { records: count(), sum: sum((record) => record.seq) },
        ...(late === undefined ? {} : { late: sink(late) }),
      })
      .to(sink(output)),
});
