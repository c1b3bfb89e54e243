/** The files that a new product begins with. */

export interface ProductFile {
  readonly file: string;
  readonly text: string;
}

/**
 * @param name a valid name of a product
 * @param path where its folder is, as a task writes it
 */
export function productFiles(name: string, path: string): readonly ProductFile[] {
  return [
    { file: "index.ts", text: pipelineText(name) },
    { file: "index.test.ts", text: TEST },
    { file: "task.example.yaml", text: taskText(name, path) },
    { file: "input.example.ndjson", text: INPUT },
  ];
}

const pipelineText = (
  name: string,
): string => `import { decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, tumbling, z } from "millrace";

/** One record of the input. */
interface Reading {
  readonly device: string;
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly value: number;
}

/** The highest value of each device in each 10 seconds, if it is above the threshold. */
export default defineProduct({
  name: "${name}",
  description: "Tells when a device's highest value in 10 seconds is above a threshold",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig, threshold: z.number().default(3) }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map(decode.json<Reading>)
      .keyBy((reading) => reading.device)
      .timeBy((reading) => reading.at, { outOfOrderness: "1s" })
      .window(tumbling("10s"))
      .map(({ key, start, count, values }) => ({ device: key, start, count, highest: Math.max(...values.map((reading) => reading.value)) }))
      .filter((result) => result.highest > config.threshold)
      .to(sink(config.output)),
});
`;

const TEST = `import assert from "node:assert/strict";
import { test } from "node:test";

import { planOf, runPipeline } from "millrace/testing";

import product from "./index.ts";

test("tells the highest value in 10 seconds when it is above the threshold", async () => {
  const plan = planOf(product, { input: { generator: {} }, output: { file: { path: "-" } }, threshold: 3 });
  const { values } = await runPipeline(plan, [
    { value: { device: "a", at: 1_000, value: 2 } },
    { value: { device: "b", at: 2_000, value: 1 } },
    { value: { device: "a", at: 9_000, value: 5 } },
    { value: { device: "b", at: 12_000, value: 4 } },
  ]);
  assert.deepEqual(values, [
    { device: "a", start: 0, count: 2, highest: 5 },
    { device: "b", start: 10_000, count: 1, highest: 4 },
  ]);
});
`;

const taskText = (name: string, path: string): string => `# A task: copy this file into a task store, such as config/tasks/${name}.yaml.
# On Kafka: input: { kafka: { topic: readings, group: ${name} } }
id: ${name}
product: ${name}
config:
  input: { file: { path: ${JSON.stringify(`${path}/input.example.ndjson`)} } }
  output: { file: { path: "-" } }
  threshold: 3
`;

const INPUT = [
  { device: "a", at: 1_000, value: 2 },
  { device: "b", at: 2_000, value: 1 },
  { device: "a", at: 9_000, value: 5 },
  { device: "b", at: 12_000, value: 4 },
]
  .map((reading) => `${JSON.stringify(reading)}\n`)
  .join("");
