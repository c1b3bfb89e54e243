/** A product with windows over made-up readings, of which it is known what they give. */
import { readFileSync } from "node:fs";
import { join } from "node:path";

/** Counts the readings of each key in each window. */
export const TALLY = `import { count, decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, tumbling, z } from "millrace";

export default defineProduct({
  name: "tally",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig, size: z.string().default("10s") }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map(decode.json, { name: "decode" })
      .timeBy((reading: { at: number }) => reading.at)
      .keyBy((reading: { key: string }) => reading.key)
      .window(tumbling(config.size), { name: "tallies", fold: { n: count() } })
      .to(sink(config.output)),
});
`;

interface Tallied {
  readonly key: string;
  readonly start: number;
  readonly value: { readonly n: number };
}

/** What a file of results has: the count of each window, and how often windows came again. */
export function talliesIn(
  folder: string,
  file = "out.ndjson",
): { readonly windows: ReadonlyMap<string, number>; readonly repeats: number } {
  const windows = new Map<string, number>();
  let repeats = 0;
  for (const line of readFileSync(join(folder, file), "utf8").split("\n")) {
    if (line === "") continue;
    const { key, start, value } = JSON.parse(line) as Tallied;
    const name = `${key} ${start}`;
    const before = windows.get(name);
    if (before !== undefined && before !== value.n)
      throw new Error(`the window ${name} was given with ${before} and with ${value.n} readings`);
    if (before !== undefined) repeats += 1;
    windows.set(name, value.n);
  }
  return { windows, repeats };
}

/** How many readings are in all windows. */
export function readingsIn(windows: ReadonlyMap<string, number>): number {
  return [...windows.values()].reduce((sum, n) => sum + n, 0);
}
