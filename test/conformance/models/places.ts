import type { TestContext } from "node:test";

import type { CallContext, ModelSpec } from "millrace";
import { http, onnx, openInference, processes, threads, worker } from "millrace";

import type { InferOptions } from "../../../src/pipeline/infer.ts";
import { httpScale, openInferenceScale } from "./scale-servers.ts";
import type scale from "./scale.ts";
import { scaled } from "./scale.ts";

/** What a test has the model do in the place of an answer. */
export type Trial = "fails one row" | "loses a row" | "answers nothing" | "asks for another try" | "keeps silent" | "fails to load";

type Row = ArrayLike<number>;

/** Three numbers → twice as many of each. */
export type Scale = ModelSpec<Row, Row> | ((rows: readonly Row[], context: CallContext) => Promise<readonly Row[]>);

/** A place that models run in, and what is known of it. */
export interface ModelPlace {
  readonly name: string;
  /** What the model can't do there, and why. */
  readonly cannot: Partial<Record<Trial, string>>;
  /** How errors name the model, and the header of results. */
  readonly told: { readonly model: string; readonly header: readonly string[] | undefined };
  /** A row that it refuses, and what is told of that. */
  readonly bad: { readonly row: readonly number[]; readonly error: RegExp };
  /** What is told when it gives nothing for a row; undefined where it can't. */
  readonly nothing?: RegExp;
  readonly options?: InferOptions;
  /** The model, where it runs. */
  readonly spec: (t: TestContext) => Promise<Scale> | Scale;
  /** The same where it can't be loaded, and what is told of that. */
  readonly broken?: (t: TestContext) => Promise<Broken> | Broken;
}

interface Broken {
  readonly spec: Scale;
  readonly error: RegExp;
}

const URL_OF_MODEL = import.meta.resolve("./scale.ts");
const ONNX = import.meta.resolve("../../models/onnx/double.onnx");
const NAMED = { name: "scale", version: "3" };

const told = { model: "model scale@3: ", header: ["millrace-model scale@3"] };
const bad = { row: [-1, 0, 0], error: /RefusedError: model scale@3: .*no row begins with -1/ };

/** A model's file, run by us. */
const own = {
  cannot: {},
  told,
  bad: { row: [-1, 0, 0], error: /TypeError: model scale@3: no row begins with -1$/ },
  nothing: /RowCountError: model scale@3: the model must return an array with one result for each of its 1 inputs$/,
};

function ownPlace(name: string, specOf: (settings?: string) => unknown): ModelPlace {
  return {
    ...own,
    name,
    spec: () => specOf() as Scale,
    broken: () => ({ spec: specOf("broken") as Scale, error: /^ModelError: model scale@3: its weights are gone$/ }),
  };
}

const MISDEEDS: readonly Trial[] = ["fails one row", "loses a row", "answers nothing", "asks for another try", "keeps silent"];

function onnxPlace(place: "worker" | "process"): ModelPlace {
  return {
    name: `an ONNX model in ${place === "worker" ? "the worker" : "a process"}`,
    cannot: Object.fromEntries(MISDEEDS.map((misdeed) => [misdeed, "an ONNX model only computes"])),
    told,
    bad: { row: [Number.NaN, 0, 0], error: /InputError: model scale@3: .*got NaN as element 0$/ },
    spec: () => onnx<Row, Row>(ONNX, { place, ...NAMED }),
    broken: () => ({
      spec: onnx<Row, Row>(URL_OF_MODEL, { place }),
      error: /^ConfigError: .*scale\.ts: ONNX Runtime can't load the model/,
    }),
  };
}

function openInferencePlace(protocol: "http" | "grpc"): ModelPlace {
  return {
    name: `a model on an Open Inference server, over ${protocol === "http" ? "HTTP" : "gRPC"}`,
    cannot: { "fails one row": "a reply has no place for the error of a row" },
    told,
    bad,
    nothing: /RefusedError: model scale@3: the reply has no output "y": it has none$/,
    spec: async (t) => openInference<Row, Row>({ url: (await openInferenceScale(t))[protocol], model: "scale" }),
    broken: async (t) => ({
      spec: openInference<Row, Row>({ url: (await openInferenceScale(t))[protocol], model: "scales" }),
      error: /^NotReadyError: model scales at .*Model scales not found$/,
    }),
  };
}

function httpPlace(rows: "one" | "batch"): ModelPlace {
  const inOne = rows === "one" ? { "loses a row": "a reply is of one row", "answers nothing": "no content is the result null" } : {};
  return {
    name: `a model behind an HTTP endpoint, ${rows === "one" ? "a row" : "several rows"} a request`,
    cannot: {
      "fails one row": "a status is of the whole request",
      "fails to load": "nothing is loaded",
      ...inOne,
    },
    told,
    bad,
    nothing: /RowCountError: model scale@3: the model must return an array with one result for each of its 1 inputs$/,
    spec: async (t) => {
      const { url } = await httpScale(t);
      // JSON has arrays, and knows no typed ones.
      return rows === "one"
        ? http<Row, Row>({ url, ...NAMED, body: (row) => Array.from(row) })
        : http<Row, Row>({ url, ...NAMED, rows, body: (rows) => rows.map((row) => Array.from(row)) });
    },
  };
}

/** Every place that a model runs in, and a function in its place. */
export const PLACES: readonly ModelPlace[] = [
  ownPlace("a model in the worker", (settings) => worker<typeof scale>(URL_OF_MODEL, { settings })),
  ownPlace("a model on a thread", (settings) => threads<typeof scale>(URL_OF_MODEL, { settings, threads: 1 })),
  ownPlace("a model in a process", (settings) => processes<typeof scale>(URL_OF_MODEL, { settings, processes: 1 })),
  onnxPlace("worker"),
  onnxPlace("process"),
  openInferencePlace("http"),
  openInferencePlace("grpc"),
  httpPlace("one"),
  httpPlace("batch"),
  {
    name: "a function",
    cannot: { "fails to load": "nothing is loaded" },
    told: { model: "", header: undefined },
    bad: { row: [-1, 0, 0], error: /TypeError: no row begins with -1$/ },
    nothing: /RowCountError: the model must return an array with one result for each of its 1 inputs$/,
    options: { passContext: true },
    spec: () => scaled,
  },
];
