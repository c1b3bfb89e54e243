/** The programs that bench/crayfish.ts compares: each reads pictures from one topic as a consumer group and writes scores to another. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import type { ImageFormat } from "./images.ts";
import { javaClassPath } from "./java-peer.ts";
import { launch, newFolder, type RunningWorker, startDaemon, writeJson } from "./workers.ts";

const bench = fileURLToPath(new URL("../", import.meta.url));
const model = join(bench, "crayfish/ffnn.onnx");

/** How pictures are read: by JSON.parse, by a scanner of numbers, or from bytes. */
export type Decoder = "parse" | "scan" | "u8";

export interface Scoring {
  readonly brokers: string;
  readonly group: string;
  readonly input: string;
  readonly output: string;
}

export interface Scorer {
  readonly name: string;
  readonly format: ImageFormat;
  start(scoring: Scoring): Promise<RunningWorker>;
}

function formatOf(decoder: Decoder): ImageFormat {
  return decoder === "u8" ? "u8" : "json";
}

/** By hand on the same client. */
export function handScorer(decoder: Decoder): Scorer {
  return {
    name: `by hand, ${decoder}`,
    format: formatOf(decoder),
    start: ({ brokers, group, input, output }) =>
      Promise.resolve(
        launch("hand", process.execPath, [join(bench, "peers/crayfish-loop.ts"), brokers, group, input, output, decoder, model]),
      ),
  };
}

/** The daemon itself, with as many instances as workers. */
export function millraceScorer(decoder: Decoder, workers: number): Scorer {
  return {
    name: `millrace, ${workers}, ${decoder}`,
    format: formatOf(decoder),
    start: ({ brokers, group, input, output }) => {
      const folder = newFolder("daemon");
      const config = { decoder, input: { kafka: { topic: input, group } }, output: { kafka: { topic: output } } };
      writeJson(folder, "tasks/bench.json", { id: "bench", product: "crayfish", instances: workers, config });
      return Promise.resolve(startDaemon(folder, { workers, kafka: { brokers: brokers.split(",") } }));
    },
  };
}

/** @param options passed on to the Java program as they are */
export function streamsScorer(format: ImageFormat, threads: number, options: readonly string[] = []): Scorer {
  return {
    name: ["streams", String(threads), format, ...options].join(", "),
    format,
    start: async ({ brokers, group, input, output }) => {
      const jvm = [
        "-Xmx1g",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        await javaClassPath("crayfish-streams"),
        "millrace.bench.Peer",
      ];
      const what = { brokers, application: group, input, output, model, format, threads, state: newFolder("state") };
      return launch("streams", "java", [...jvm, ...Object.entries(what).map(([name, value]) => `${name}=${value}`), ...options]);
    },
  };
}
