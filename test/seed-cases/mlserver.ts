import { InfrastructureError } from "millrace";
import { VirtualClock } from "millrace/testing";

import { noModelStats } from "../../src/model-stats.ts";
import type { ModelAnswer } from "../../src/model.ts";
import { Batcher } from "../../src/models/batcher.ts";
import { packRows } from "../../src/models/tensors/pack.ts";
import type { Tensor } from "../../src/models/tensors/tensor.ts";
import { unpackRows } from "../../src/models/tensors/unpack.ts";
import type { Fields, SeedCase } from "./case.ts";
import { field, isFields, marksFault, targetOf, UnknownCase } from "./case.ts";
import type { Judged } from "./judge.ts";
import { adaptive } from "./mlserver-adaptive.ts";
import { jsonOf, tensorOf, typeOf } from "./tensors.ts";

/** Cases of MLServer's batching. */
export async function mlserver(given: SeedCase): Promise<Judged> {
  const { feature } = given;
  if (feature.startsWith("adaptive batching")) return await adaptive(given);
  if (feature.startsWith("BatchedRequests merge")) return await merge(given);
  if (feature.startsWith("BatchedRequests split")) return await split(given);
  throw new UnknownCase(`Millrace has nothing like ${feature}`);
}

/** Requests that come together: those that are alike go to the model as one, the others each as they are. */
async function merge(given: SeedCase): Promise<Judged> {
  const requests = (given.input as readonly Fields[]).map(({ inputs }) => (inputs as readonly unknown[]).map(tensorOf));
  const sizes = requests.map(rowsOf);
  const sent: Fields[] = [];
  await asked(requests, async (rows, indexes) => {
    const types = requests[indexes[0] ?? 0]?.map(typeOf) ?? [];
    const { packed, bad } = packRows(rows, types);
    if (bad.length > 0 || packed.length !== 1)
      throw new Error(`rows that are no tensor: ${bad[0]?.error.message ?? `${packed.length} kinds`}`);
    sent.push({ inputs: packed[0]?.tensors.map(jsonOf) ?? [] });
    return rows;
  });
  const target = targetOf(given);
  return {
    target: given.expected_reference === undefined ? withoutMixing(target, requests) : target,
    seen: { merged: sent.length === 1 ? sent[0] : sent, minibatch_sizes: sizes },
  };
}

/** MLServer joins what is not alike as well; right is what is alike as one, each kind for itself. */
function withoutMixing(target: unknown, requests: readonly (readonly Tensor[])[]): unknown {
  const kinds = Map.groupBy(requests, (tensors) =>
    JSON.stringify(tensors.map(({ name, datatype, shape }) => [name, datatype, shape.slice(1)])),
  );
  if (kinds.size === 1 || !isFields(target)) return target;
  return { ...target, merged: [...kinds.values()].map((alike) => ({ inputs: joined(alike) })) };
}

function joined(alike: readonly (readonly Tensor[])[]): readonly Fields[] {
  const [first = []] = alike;
  return first.map(({ name, datatype, shape }, input) => {
    const parts = alike.map((tensors) => jsonOf(tensors[input] as Tensor));
    const rows = parts.reduce((sum, part) => sum + ((part["shape"] as readonly number[])[0] ?? 0), 0);
    return { name, shape: [rows, ...shape.slice(1)], datatype, data: parts.flatMap((part) => part["data"] as readonly unknown[]) };
  });
}

/** A reply for several requests: each gets its rows, or all an error when it has not as many as they have. */
async function split(given: SeedCase): Promise<Judged> {
  const sizes = given.config["minibatch_sizes"] as readonly number[];
  const outputs = (field(given.input, "outputs") as readonly unknown[]).map(tensorOf);
  const name = field(given.input, "model_name");
  // What each request asks with is not told, and does not matter.
  const requests = sizes.map((rows): readonly Tensor[] => [{ name: "x", datatype: "INT32", shape: [rows], data: new Int32Array(rows) }]);
  const answers = await asked(requests, async (rows) => {
    try {
      return unpackRows(outputs, rows.length);
    } catch (error) {
      // An error that is nobody's fault in particular: nobody is asked again alone.
      throw new InfrastructureError(String(error), { cause: error });
    }
  });
  const types = outputs.map(typeOf);
  const responses = answers.map((answer) => {
    if (answer instanceof Error) return "refused";
    const [packed] = packRows(Array.from(answer), types).packed;
    return { ...(name === undefined ? {} : { model_name: name }), outputs: packed?.tensors.map(jsonOf) ?? [] };
  });
  const target = targetOf(given);
  const rows = sizes.reduce((sum, size) => sum + size, 0);
  const isRight = outputs.every(
    ({ shape, data }) => shape[0] === rows && data.length === shape.reduce((product, size) => product * size, 1),
  );
  if (!isRight && given.expected_reference === undefined && !marksFault(given))
    throw new UnknownCase("a reply of another number of rows that is right");
  const wanted = isRight ? withoutIds(target) : sizes.map(() => "refused");
  return { target: { output: wanted }, seen: { output: responses } };
}

/** The ids are those of the requests, which a case does not give. */
function withoutIds(target: unknown): unknown {
  if (!Array.isArray(target)) return target;
  return target.map((each: unknown) =>
    isFields(each) ? Object.fromEntries(Object.entries(each).filter(([name]) => name !== "id")) : each,
  );
}

function rowsOf(inputs: readonly Tensor[]): number {
  return inputs[0]?.shape[0] ?? 0;
}

/** Lets the requests come together, and gives the rows that each is answered with, or its error. */
async function asked(
  requests: readonly (readonly Tensor[])[],
  model: (rows: readonly unknown[], requests: readonly number[]) => Promise<ArrayLike<unknown>>,
): Promise<readonly (ArrayLike<unknown> | Error)[]> {
  const clock = new VirtualClock();
  const identity = { name: "stub", version: "1" };
  const inputs = requests.map((tensors) => Array.from(unpackRows(tensors, rowsOf(tensors))));
  const send = async (rows: readonly unknown[]): Promise<ModelAnswer> => {
    const indexes = inputs.flatMap((own, index) => (own.some((row) => rows.includes(row)) ? [index] : []));
    return { outputs: await model(rows, indexes), identity };
  };
  await using batcher = new Batcher({ capacity: 1000, identity, stats: noModelStats(), send }, clock);
  const batching = { maxSize: 1_000_000, maxDelay: 100, maxQueuedRows: 1_000_000, maxQueuedBytes: Number.MAX_SAFE_INTEGER };
  const signal = new AbortController().signal;
  const callers = inputs.map((_, index) => batcher.caller({ name: `r${index}`, maxInFlight: 1, priority: 0 }, batching));
  const answers = inputs.map((rows, index) =>
    (callers[index] as (typeof callers)[number]).predict(rows, { events: [], signal, until: Number.POSITIVE_INFINITY }).then(
      ({ outputs }) => outputs,
      (error: Error) => error,
    ),
  );
  await clock.advance(1000);
  const settled = await Promise.all(answers);
  for (const caller of callers) caller[Symbol.dispose]();
  return settled;
}
