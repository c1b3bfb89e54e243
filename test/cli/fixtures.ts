/** A product that is easy to follow in a debugger, and input for it. */
export const DOUBLER = `import { decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, z } from "millrace";

interface Reading {
  readonly device: string;
  readonly value: number;
}

export default defineProduct({
  name: "doubler",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig, factor: z.strictObject({ by: z.number().default(2) }).prefault({}) }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map(decode.json<Reading>, { name: "decode" })
      .map(
        (reading) => {
          const doubled = reading.value * config.factor.by;
          if (Number.isNaN(doubled)) throw new Error("no number");
          return { device: reading.device, value: doubled };
        },
        { name: "double" },
      )
      .to(sink(config.output)),
});
`;

/** A task of it, as YAML. */
export const TASK = `id: twice
product: doubler
config:
  input: { generator: { count: 3 } }
  output: { file: { path: real-output.ndjson } }
`;

export const INPUT = ["a", "b", "c"].map((device, index) => `${JSON.stringify({ device, value: index + 1 })}\n`).join("");

export const PROJECT: Readonly<Record<string, string>> = {
  "products/doubler/index.ts": DOUBLER,
  "config/tasks/twice.yaml": TASK,
  "input.ndjson": INPUT,
};
