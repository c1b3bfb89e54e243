import { decode, defineProduct, from, sink, sinkConfig, source, sourceConfig, z } from "millrace";

interface Reading {
  readonly sequence: number;
}

const hoard: unknown[] = [];

/** What it does when its pipeline is built. */
const atBuild: Readonly<Record<string, () => void>> = {
  throw: () => {
    throw new Error("no such model");
  },
  loop: () => {
    for (;;) hoard.length = 0;
  },
  exit: () => process.exit(3),
};

/** What it does at each event. */
const atRun: Readonly<Record<string, () => void>> = {
  throw: () => {
    throw new Error("a value that nobody thought of");
  },
  loop: () => {
    for (;;) hoard.length = 0;
  },
  exit: () => process.exit(3),
  abort: () => process.abort(),
  reject: () => void Promise.reject(new Error("nobody awaits this")),
  timer: () => void setTimeout(() => atRun["throw"]?.(), 1),
  heap: () => void hoard.push(Array.from({ length: 200_000 }, (_, index) => ({ index }))),
  buffers: () => void hoard.push(Buffer.alloc(8 * 1024 * 1024, 1)),
};

/** Does what no product should, if its config says so. */
export default defineProduct({
  name: "unruly",
  config: z.strictObject({ input: sourceConfig, output: sinkConfig, build: z.string().optional(), run: z.string().optional() }),
  pipeline: ({ config }) => {
    if (config.build !== undefined) atBuild[config.build]?.();
    return from(source(config.input))
      .map(decode.json<Reading>, { name: "decode" })
      .tap(({ sequence }) => {
        if (config.run !== undefined && sequence > 3) atRun[config.run]?.();
      })
      .to(sink(config.output));
  },
});
