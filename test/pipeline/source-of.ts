import type { SinkSpec, SourceSpec } from "../../src/contracts.ts";

/** A source spec for pipelines that `runPipeline` feeds. */
export function sourceOf<T>(timestamps: "timestamps" | "no timestamps" = "timestamps"): SourceSpec<T> {
  return {
    kind: "memory",
    description: {},
    finite: true,
    timestamps: timestamps === "timestamps",
    partitioned: false,
    open: () => Promise.reject(new Error("not opened in tests")),
  };
}

/** A sink spec for pipelines whose results `runPipeline` collects. */
export function sinkOf(kind = "memory"): SinkSpec {
  return { kind, description: {}, open: () => Promise.reject(new Error("not opened in tests")) };
}

/** A spec of a box for dead letters, whose letters `runPipeline` collects. */
export function boxOf(): SinkSpec {
  return { ...sinkOf("box"), openLetters: () => Promise.reject(new Error("not opened in tests")) };
}
