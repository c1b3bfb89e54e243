import assert from "node:assert/strict";
import { test } from "node:test";

import type { InferOptions, OpenInferenceOptions } from "millrace";
import { from, memorySink, memorySource, openInference, sink } from "millrace";
import { runPipeline } from "millrace/testing";

import type { Tensor } from "../../../src/models/tensors/tensor.ts";
import type { Misdeed } from "../../support/open-inference/served.ts";
import type { OpenInferenceServer } from "../../support/open-inference/server.ts";
import { openInferenceServer } from "../../support/open-inference/server.ts";
import { scale } from "./hosted.ts";

const POISON = 13;

type Given = Partial<OpenInferenceOptions> & { readonly infer?: InferOptions };

/** Six rows, the fourth of which begins with 13, through a model that doubles them; what fails becomes a letter. */
async function askFor(server: OpenInferenceServer, { infer, ...options }: Given) {
  const plan = from(memorySource<number[]>([]))
    .infer(openInference<number[], Float32Array>({ url: server.http, model: "scale", ...options }), { onError: "deadLetter", ...infer })
    .map((row) => row[0])
    .deadLetter(sink({ file: { path: "letters" } }))
    .to(memorySink());
  return await runPipeline(
    plan,
    [1, 2, 3, POISON, 5, 6].map((first) => ({ value: [first, 0, 0] })),
  );
}

function hasPoison(server: OpenInferenceServer): boolean {
  const x = server.asked.at(-1)?.inputs[0] as Tensor;
  return (x.data as Float32Array).includes(POISON);
}

const changed = (change: (y: Tensor) => Tensor | undefined): Misdeed => ({
  how: "changes",
  outputs: (outputs) => outputs.map(change).filter((output) => output !== undefined),
});

const HTML = { how: "says", type: "text/html", body: "<html>" } as const;

function says(body: string): Misdeed {
  return { how: "says", type: "application/json", body };
}

const ONE_BY_ONE: InferOptions = { batch: { maxSize: 1 } };

/** What is wrong with the reply to whatever has the poisoned row, and what is told of it. */
const BAD_REPLIES: readonly { readonly wrong: string; readonly misdeed: Misdeed; readonly told: RegExp; readonly given?: Given }[] = [
  {
    wrong: "it refuses the input",
    misdeed: { how: "refuses", status: 400, message: "13 is unlucky" },
    told: /the server answered 400: 13 is unlucky$/,
  },
  {
    wrong: "it says more than anybody reads",
    misdeed: { how: "refuses", status: 422, message: "x".repeat(5000) },
    told: /the server answered 422: x{500}… \(5000 characters\)$/,
  },
  {
    wrong: "its JSON is truncated",
    misdeed: { how: "truncates" },
    told: /the reply is no JSON \(\d+ characters\)/,
    given: { binary: false },
  },
  {
    wrong: "its binary tensors are truncated",
    misdeed: { how: "truncates" },
    told: /inference-header-content-length says "\d+" where \d+ bytes came/,
  },
  {
    wrong: "it has a gigabyte",
    misdeed: { how: "floods", bytes: 1e9 },
    told: /the reply has more than 100,000 bytes \(maxReplyBytes\)/,
    given: { maxReplyBytes: 100_000 },
  },
  { wrong: "it is a page", misdeed: HTML, told: /the reply is text\/html, not JSON: is this an Open Inference server\?/ },
  { wrong: "it has no outputs", misdeed: says("{}"), told: /the reply has no "outputs"/ },
  { wrong: "an output has no type", misdeed: says('{"outputs":[{"name":"y"}]}'), told: /output "y" has the unknown datatype undefined/ },
  {
    wrong: "an element is null",
    misdeed: says('{"outputs":[{"name":"y","datatype":"FP32","shape":[1,3],"data":[1,null,3]}]}'),
    told: /output "y" has an element that is no FP32: null, as some servers write NaN/,
  },
  {
    wrong: "an element is missing",
    misdeed: says('{"outputs":[{"name":"y","datatype":"FP32","shape":[1,3],"data":[1,2]}]}'),
    told: /output "y" has 2 elements, not the 3 that its shape says/,
  },
  { wrong: "an output is missing", misdeed: changed((y) => ({ ...y, name: "z" })), told: /the reply has no output "y": it has "z"/ },
  {
    wrong: "an output has another type",
    misdeed: changed((y) => ({ ...y, datatype: "FP64", data: Float64Array.from(y.data as Float32Array) })),
    told: /output "y" is FP64, not FP32/,
  },
  {
    wrong: "an output has another shape",
    misdeed: changed((y) => ({ ...y, shape: [y.data.length] })),
    told: /output "y" has the shape \[3\], where a row has \[3\]/,
    given: { infer: ONE_BY_ONE },
  },
  {
    wrong: "it has a row too many",
    misdeed: changed((y) => ({ ...y, shape: [2, 3], data: Float32Array.from([1, 2, 3, 4, 5, 6]) })),
    told: /the model returned 2 rows in its output "y" \(shape \[2,3\]\) for 1 inputs/,
    given: { infer: ONE_BY_ONE },
  },
];

for (const { wrong, misdeed, told, given = {} } of BAD_REPLIES) {
  test(`when ${wrong}, a reply over HTTP fails its event alone, and the rest goes on`, async (t) => {
    const server = await openInferenceServer(t, scale);
    await failsItsEventAlone(server, misdeed, told, given);
  });
}

/** The same over gRPC, where it can happen there. */
const BAD_GRPC_REPLIES: typeof BAD_REPLIES = [
  {
    wrong: "it refuses the input",
    misdeed: { how: "refuses", status: 3, message: "13 is unlucky" },
    told: /the server answered INVALID_ARGUMENT: 13 is unlucky$/,
  },
  {
    wrong: "it can't take so much",
    misdeed: { how: "refuses", status: 8, message: "SERVER: Received message larger than max (12 vs. 8)" },
    told: /the server answered RESOURCE_EXHAUSTED: SERVER: Received message larger than max/,
  },
  { wrong: "its message is truncated", misdeed: { how: "truncates" }, told: /the reply is no message of the protocol \(\d+ bytes\)/ },
  {
    wrong: "it has 50 MB",
    misdeed: { how: "floods", bytes: 5e7 },
    told: /the reply has more than 100,000 bytes \(maxReplyBytes\)/,
    given: { maxReplyBytes: 100_000 },
  },
  ...BAD_REPLIES.filter(({ misdeed }) => misdeed.how === "changes"),
];

for (const { wrong, misdeed, told, given = {} } of BAD_GRPC_REPLIES) {
  test(`when ${wrong}, a reply over gRPC fails its event alone, and the rest goes on`, async (t) => {
    const server = await openInferenceServer(t, scale);
    await failsItsEventAlone(server, misdeed, told, { url: server.grpc, ...given });
  });
}

async function failsItsEventAlone(server: OpenInferenceServer, misdeed: Misdeed, told: RegExp, given: Given): Promise<void> {
  server.misdeed = () => (hasPoison(server) ? misdeed : undefined);
  const { values, letters } = await askFor(server, given);
  assert.deepEqual(values, [2, 4, 6, 10, 12]);
  assert.deepEqual(
    letters.map(({ offset, step }) => [offset, step]),
    [[3, "infer"]],
  );
  assert.match(letters[0]?.message ?? "", /^model scale@3: /);
  assert.match(letters[0]?.message ?? "", told);
  assert.ok(server.flooded < 50e6, "reading ends at the limit");
}

for (const { row, told } of [
  { row: [1, Number.NaN, 0], told: /input "x": expected finite numbers \(FP32\), got NaN as element 1/ },
  { row: [1, 2], told: /input "x": expected 3 numbers \(FP32 \[3\]\), got 2 elements/ },
  { row: ["a", 2, 3], told: /input "x": expected finite numbers \(FP32\), got text as element 0/ },
]) {
  test(`a row that is no input is not sent, and fails alone: ${JSON.stringify(row)}`, async (t) => {
    const server = await openInferenceServer(t, scale);
    const plan = from(memorySource<unknown[]>([]))
      .infer(openInference<unknown[], Float32Array>({ url: server.http, model: "scale", binary: false }), { onError: "deadLetter" })
      .map((answer) => Array.from(answer))
      .deadLetter(sink({ file: { path: "letters" } }))
      .to(memorySink());
    const { values, letters } = await runPipeline(plan, [{ value: [1, 2, 3] }, { value: row }, { value: [4, 5, 6] }]);
    assert.deepEqual(values, [
      [2, 4, 6],
      [8, 10, 12],
    ]);
    assert.equal(letters[0]?.offset, 1);
    assert.match(letters[0]?.message ?? "", /^model scale@3: /);
    assert.match(letters[0]?.message ?? "", told);
    assert.deepEqual(
      server.asked.map(({ inputs }) => inputs[0]?.shape),
      [[2, 3]],
    );
  });
}

test("NaN that the input allows goes as bytes; JSON has no word for it, so there its event alone fails", async (t) => {
  const server = await openInferenceServer(t, scale);
  const inputs = [{ name: "x", datatype: "FP32", shape: [3], values: "any" }] as const;
  const answersOf = async (binary: boolean) => {
    const plan = from(memorySource<number[]>([]))
      .infer(openInference<number[], Float32Array>({ url: server.http, model: "scale", binary, inputs }), { onError: "deadLetter" })
      .map((answer) => Array.from(answer))
      .deadLetter(sink({ file: { path: "letters" } }))
      .to(memorySink());
    return await runPipeline(plan, [{ value: [1, 2, 3] }, { value: [4, Number.NaN, 6] }]);
  };
  assert.deepEqual((await answersOf(true)).values, [
    [2, 4, 6],
    [8, Number.NaN, 12],
  ]);
  const { values, letters } = await answersOf(false);
  assert.deepEqual(values, [[2, 4, 6]]);
  assert.deepEqual(
    letters.map(({ offset, message }) => [offset, message]),
    [[1, 'model scale@3: input "x": NaN and infinity can\'t be sent as JSON: ask a server that takes binary tensors']],
  );
});
