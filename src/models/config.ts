import { extname } from "node:path";

import { z } from "zod";

import { DURATION_FORM, parseDuration } from "../duration.ts";
import { PlanError } from "../errors.ts";
import type { AnyModel, Model, SpecOf } from "../model.ts";
import { http } from "./http/http.ts";
import { processes } from "./lanes/processes.ts";
import { threads } from "./lanes/threads.ts";
import { onnx } from "./onnx/onnx.ts";
import { openInference } from "./open-inference/open-inference.ts";
import { worker } from "./worker.ts";

const duration = z.union([z.number(), z.string()]).refine((value) => (parseDuration(value) ?? 0) > 0, `must be ${DURATION_FORM}`);
const atLeastOne = z.int().min(1);
const names = z.array(z.string().min(1)).min(1);
const headers = z.record(z.string(), z.string());

const settings = z.unknown().optional().describe("for the model's load");

const lanes = {
  settings,
  maxInFlight: atLeastOne.optional().describe("calls that each has at a time; default 2"),
  memoryLimitMb: atLeastOne.optional().describe("the most memory of each, in MiB; default none"),
  redeliver: z.int().min(0).optional().describe("how often a call is given to another since its own died; default 1"),
  grace: duration.optional().describe("how long it may go on with a call whose time is up; default 1s"),
  hangAfter: duration.optional().describe("how long it may be silent with calls in flight; default 1m"),
};

const processLanes = {
  processes: z.int().min(0).optional().describe("child processes of each worker process; 0: the model runs in the worker"),
  pool: z.string().min(1).optional().describe("models that name the same pool share its processes"),
  ...lanes,
};

const tensors = z
  .array(
    z.strictObject({
      name: z.string().min(1),
      datatype: z.enum(["BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP32", "FP64", "BYTES"]),
      shape: z.array(z.int().min(-1)).describe("of one row; -1 where any size will do"),
      values: z.enum(["finite", "any"]).optional().describe("whether numbers may be NaN or infinite; default finite"),
    }),
  )
  .min(1);

const breaker = z.strictObject({
  failures: atLeastOne.optional().describe("opens after so many failures in a row; default 5"),
  errorRate: z.number().min(0).max(1).optional().describe("opens when more than this part of the calls failed; default 0.5"),
  calls: atLeastOne.optional().describe("the fewest calls by which errorRate is judged; default 20"),
  within: duration.optional().describe("the time over which errorRate is counted; default 30s"),
  wait: duration.optional().describe("how long calls are refused before one is let through; default 1s"),
});

const openInferenceConfig = z.strictObject({
  url: z.string().min(1).describe("http://HOST:PORT, https://…, grpc://HOST:PORT or grpcs://…"),
  model: z.string().min(1).describe("its name on the server"),
  version: z.string().min(1).optional().describe("default: as the server chooses"),
  protocol: z.enum(["http", "grpc"]).optional().describe("default: as the url says"),
  inputs: tensors.optional().describe("default: as the server says"),
  outputs: tensors.optional().describe("default: all"),
  headers: headers.optional().describe("sent with each request; may hold secrets"),
  timeout: duration.optional().describe("for one request; default 30s"),
  maxReplyBytes: atLeastOne.optional().describe("default 64 MiB"),
  maxInFlight: atLeastOne.optional().describe("requests under way at a time; default 8"),
  binary: z.boolean().optional().describe("tensors as bytes; default: over HTTP where the server announces it, over gRPC true"),
  breaker: breaker.optional(),
});

const httpConfig = z.strictObject({
  url: z.string().min(1),
  rows: z.enum(["one", "batch"]).default("one").describe("one: a request for each row; batch: one with an array of all rows of a call"),
  method: z.string().min(1).optional().describe("default POST"),
  headers: headers.optional().describe("may hold secrets"),
  subpath: z.string().optional().describe("goes behind the path of the url"),
  reply: z.enum(["json", "text", "bytes"]).optional().describe("what a result is; default json"),
  name: z.string().min(1).optional().describe("default: host and path of the url"),
  version: z.string().min(1).optional().describe("default 1"),
  timeout: duration.optional().describe("for one request; default 30s"),
  maxReplyBytes: atLeastOne.optional().describe("default 16 MiB"),
  concurrency: atLeastOne.optional().describe("requests under way at a time; default 32"),
  breaker: z.union([breaker, z.literal("off")], { error: 'give { failures, errorRate … } or "off"' }).optional(),
});

const onnxConfig = z.strictObject({
  path: z.string().min(1).optional().describe("the .onnx file; default: the product's, where it has one"),
  place: z.enum(["worker", "process"]).optional().describe("default worker"),
  name: z.string().min(1).optional().describe("default: the file's name"),
  version: z.string().min(1).optional().describe("default: the model's own, else by its content"),
  outputs: names.optional().describe("default: all"),
  values: z.enum(["finite", "any"]).optional().describe("whether numbers may be NaN or infinite; default finite"),
  ...processLanes,
  settings: z.record(z.string(), z.unknown()).optional().describe("options of ONNX Runtime's session, as { intraOpNumThreads: 2 }"),
});

const WORDS = ["worker", "threads", "processes"] as const;

const ONE_PLACE = {
  error: `give one place: ${WORDS.join(", ")}, or one with its options as { threads: { … } }, of worker, threads, processes, openInference, http, onnx`,
};

const placeConfig = z
  .strictObject({
    worker: z.strictObject({ settings }).optional(),
    threads: z
      .strictObject({ threads: z.int().min(0).optional().describe("of each worker process; 0: the model runs in the worker"), ...lanes })
      .optional(),
    processes: z.strictObject(processLanes).optional(),
    openInference: openInferenceConfig.optional(),
    http: httpConfig.optional(),
    onnx: onnxConfig.optional(),
  })
  .refine((config) => Object.values(config).filter((value) => value !== undefined).length === 1, ONE_PLACE);

/**
 * For a product's config: where its model runs, as `worker`, `threads` or `processes`, or as one of these with options,
 * `{ threads: { … } }`, or elsewhere, as `{ openInference: { … } }`, `{ http: { … } }` or `{ onnx: { … } }`.
 */
export const modelConfig = z.union([z.enum(WORDS), placeConfig], ONE_PLACE);

/** What a task gives where a product's config has `modelConfig`. */
export type ModelConfig = z.input<typeof modelConfig>;

/**
 * The product's model where a config says that it runs. What is elsewhere is taken to have the types of the model too.
 * @param url `import.meta.resolve("./model.ts")`, or of a file that ends with `.onnx`
 * @example
 * import type digits from "./model.ts";
 * stream.infer(model<typeof digits>(config.model, import.meta.resolve("./model.ts")))
 * @throws {PlanError} when an option can't be right, or the model can't run there
 */
export function model<M extends AnyModel = Model>(config: ModelConfig, url: string): SpecOf<M> {
  const place = typeof config === "string" ? { [config]: {} } : config;
  return specOf(place, url) as SpecOf<M>;
}

function specOf(place: Exclude<ModelConfig, string>, url: string): unknown {
  if (place.openInference !== undefined) return openInference(place.openInference);
  if (place.http !== undefined) return httpModel(place.http);
  const isOnnx = extname(new URL(url).pathname) === ".onnx";
  if (place.onnx !== undefined) return onnxModel(place.onnx, isOnnx ? url : undefined);
  if (!isOnnx) return ownModel(place, url);
  if (place.threads !== undefined)
    throw new PlanError(`an ONNX model can't run on threads, which end their whole process when they end: give worker or processes`);
  if (place.processes === undefined) return onnxModel(place.worker ?? {}, url);
  return onnxModel({ ...place.processes, place: "process" }, url);
}

function ownModel({ worker: here, threads: onThreads, processes: inProcesses }: Exclude<ModelConfig, string>, url: string): unknown {
  if (onThreads !== undefined) return threads(url, onThreads);
  if (inProcesses !== undefined) return processes(url, inProcesses);
  return worker(url, here);
}

function httpModel({ rows, ...options }: NonNullable<Exclude<ModelConfig, string>["http"]>): unknown {
  return rows === "batch" ? http({ ...options, rows: "batch" }) : http({ ...options, rows: "one" });
}

function onnxModel(
  { path, ...options }: z.input<typeof onnxConfig> | { readonly path?: undefined; readonly settings?: unknown },
  own?: string,
): unknown {
  const file = path ?? own;
  if (file === undefined) throw new PlanError("onnx: path is missing: the product has no .onnx file of its own");
  return onnx(file, options as Parameters<typeof onnx>[1]);
}
