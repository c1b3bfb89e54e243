import assert from "node:assert/strict";
import { test } from "node:test";

import type { OpenInferenceOptions } from "millrace";
import { from, memorySink, memorySource, openInference, PlanError } from "millrace";
import { runPipeline } from "millrace/testing";

import { openInferenceServer } from "../../support/open-inference/server.ts";
import { scale } from "./hosted.ts";

const GOOD = { url: "http://models:8000", model: "scale" };

for (const [wrong, told] of [
  [{ url: "models:8000" }, /url must be http:\/\/HOST:PORT or https:/],
  [{ url: "ftp://models" }, /url must be http:/],
  [{ url: "http://user:hunter2@models" }, /url must have no user or password: give headers/],
  [{ url: "http://models?x=1" }, /url must end before \? and #/],
  [{ url: "grpc://models/path" }, /url must have no path where the protocol is gRPC/],
  [{ protocol: "tcp" }, /protocol must be "http" or "grpc" \(got "tcp"\)/],
  [{ model: "" }, /model must be the model's name on the server/],
  [{ version: "" }, /version must be text/],
  [{ timeout: "soon" }, /timeout: "soon" is no duration/],
  [{ timeout: 0 }, /timeout: must be longer than 0/],
  [{ maxReplyBytes: 0 }, /maxReplyBytes must be a whole number, 1 or more \(got 0\)/],
  [{ maxInFlight: 1.5 }, /maxInFlight must be a whole number/],
  [{ inputs: [] }, /inputs must be a list of at least one/],
  [{ inputs: [{ name: "x", datatype: "FP16", shape: [] }] }, /inputs "x" has the unknown datatype "FP16"/],
  [{ outputs: [{ name: "y", datatype: "FP32", shape: [-2] }] }, /outputs "y" must have the shape of one row/],
  [{ headers: { "a b": "hunter2" } }, /the header "a b" has a name or a value that no header can have/],
  [{ headers: { authorization: "hunter2\n" } }, /the header "authorization" has a name or a value/],
  [{ breaker: { failures: 0 } }, /breaker\.failures must be a whole number/],
] as const) {
  test(`refused when the plan is built: ${JSON.stringify(wrong)}`, () => {
    const options = { ...GOOD, ...wrong } as OpenInferenceOptions;
    assert.throws(
      () => openInference(options),
      (error) => {
        assert.ok(error instanceof PlanError);
        assert.match(error.message, told);
        assert.doesNotMatch(error.message, /hunter2/);
        return true;
      },
    );
  });
}

test("a plan says where its model is asked", () => {
  const { kind, description } = openInference({ ...GOOD, version: "2", headers: { authorization: "hunter2" } });
  assert.equal(kind, "openInference");
  assert.deepEqual(description, { url: "http://models:8000", model: "scale", version: "2", protocol: "http", binary: undefined });
});

test("the protocol follows the url, and can be said where it does not", () => {
  const urlOf = (options: Partial<OpenInferenceOptions>) => openInference({ ...GOOD, ...options }).description["url"];
  assert.equal(urlOf({ url: "https://models/prefix/" }), "https://models:443/prefix");
  assert.equal(urlOf({ url: "grpcs://models:9000" }), "grpcs://models:9000");
  assert.equal(urlOf({ url: "http://models:8001", protocol: "grpc" }), "grpc://models:8001");
});

for (const protocol of ["http", "grpc"] as const) {
  test(`headers go with each request by ${protocol}, and are never told`, async (t) => {
    const server = await openInferenceServer(t, scale);
    const token = "Bearer s3cret-token";
    server.misdeed = () => ({ how: "refuses", status: protocol === "http" ? 400 : 3, message: `${token} may not (s3cret-token)` });
    const plan = from(memorySource<number[]>([]))
      .infer(openInference({ url: server[protocol], model: "scale", headers: { Authorization: token } }))
      .to(memorySink());
    await assert.rejects(runPipeline(plan, [{ value: [1, 2, 3] }]), (error: Error) => {
      assert.match(error.message, /\[secret\] may not \(\[secret\]\)/);
      return true;
    });
    assert.equal(server.asked[0]?.headers["authorization"], token);
  });
}

test("a version is asked for where one is given, and results name it", async (t) => {
  const server = await openInferenceServer(t, scale);
  const plan = from(memorySource<number[]>([]))
    .infer(openInference({ url: `${server.http}/`, model: "scale", version: "3" }))
    .map((_, event) => String(event.headers?.[0]?.[1]))
    .to(memorySink());
  assert.deepEqual((await runPipeline(plan, [{ value: [1, 2, 3] }])).values, ["scale@3"]);
});
