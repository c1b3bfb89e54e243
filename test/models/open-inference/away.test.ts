import assert from "node:assert/strict";
import { test } from "node:test";

import type { InferOptions, OpenInferenceOptions } from "millrace";
import { from, InfrastructureError, memorySink, memorySource, NotReadyError, openInference, RetryableError } from "millrace";
import { runPipeline, VirtualClock } from "millrace/testing";

import { openContext } from "../../support/open-context.ts";
import type { Misdeed } from "../../support/open-inference/served.ts";
import { openInferenceServer } from "../../support/open-inference/server.ts";
import { freePort } from "../../support/services/ports.ts";
import { until } from "../../support/until.ts";
import { scale } from "./hosted.ts";

/** What one row is answered with; in virtual time, so that waits cost none. */
async function ask(options: Partial<OpenInferenceOptions> & { readonly url: string }, infer: InferOptions = {}) {
  const plan = from(memorySource<number[]>([]))
    .infer(openInference<number[], Float32Array>({ model: "scale", ...options }), infer)
    .map((row) => row[0])
    .to(memorySink());
  return await runPipeline<number>(plan, [{ value: [1, 0, 0] }]);
}

/** Does a misdeed as often as that, and then none. */
function first(times: number, misdeed: Misdeed): () => Misdeed | undefined {
  let left = times;
  return () => (left-- > 0 ? misdeed : undefined);
}

function is(type: new (message: string) => Error, message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof type, `${String(error)} is a ${type.name}`);
    assert.match(error.message, message);
    return true;
  };
}

const CASES: Readonly<Record<"http" | "grpc", readonly [Misdeed, RegExp][]>> = {
  http: [
    ...[408, 425, 429, 500, 502, 503, 504].map((status): [Misdeed, RegExp] => [
      { how: "refuses", status, message: "not now" },
      new RegExp(`the server answered ${status}: not now`),
    ]),
    [{ how: "hangs up" }, /other side closed/],
  ],
  grpc: (
    [
      [1, "CANCELLED"],
      [2, "UNKNOWN"],
      [4, "DEADLINE_EXCEEDED"],
      [8, "RESOURCE_EXHAUSTED"],
      [10, "ABORTED"],
      [13, "INTERNAL"],
      [14, "UNAVAILABLE"],
    ] as const
  ).map(([status, name]): [Misdeed, RegExp] => [
    { how: "refuses", status, message: "not now" },
    new RegExp(`the server answered ${name}: not now`),
  ]),
};

for (const protocol of ["http", "grpc"] as const) {
  for (const [misdeed, told] of CASES[protocol]) {
    test(`what may pass is tried again by ${protocol}: ${told.source}`, async (t) => {
      const server = await openInferenceServer(t, scale);
      const url = server[protocol];
      server.misdeed = first(2, misdeed);
      const { values, counters } = await ask({ url }, { retries: 2 });
      assert.deepEqual(values, [2]);
      assert.equal(counters.retried, 2);

      server.misdeed = first(1, misdeed);
      await assert.rejects(ask({ url }), is(RetryableError, told));
      server.misdeed = first(1, misdeed);
      await assert.rejects(ask({ url }), is(RetryableError, /^model scale@3 at (http|grpc):\/\/127\.0\.0\.1:\d+: /));
    });
  }

  test(`who may not ask is told so, and no event is blamed, by ${protocol}`, async (t) => {
    const server = await openInferenceServer(t, scale);
    for (const status of protocol === "http" ? [401, 403, 404] : [16, 7, 5]) {
      server.misdeed = () => ({ how: "refuses", status, message: "no" });
      await assert.rejects(ask({ url: server[protocol] }), is(InfrastructureError, /^model scale@3 at .*: the server answered .*: no$/));
    }
  });

  test(`a reply that never ends is given up after the timeout, by ${protocol}`, async (t) => {
    const server = await openInferenceServer(t, scale);
    server.misdeed = first(1, { how: "never ends" });
    const told = protocol === "http" ? /only 12 bytes of the reply came within 300 ms$/ : /no answer within 300 ms$/;
    await assert.rejects(ask({ url: server[protocol], timeout: 300 }), is(RetryableError, told));
    server.misdeed = first(1, { how: "never ends" });
    const { values } = await ask({ url: server[protocol], timeout: 300 }, { retries: 1 });
    assert.deepEqual(values, [2]);
  });

  test(`a call is cancelled by the step's deadline, and the next one is answered, by ${protocol}`, async (t) => {
    const server = await openInferenceServer(t, scale);
    server.misdeed = first(1, { how: "never ends" });
    await assert.rejects(ask({ url: server[protocol] }, { deadline: 200 }), /no answer within/);
    assert.deepEqual((await ask({ url: server[protocol] })).values, [2]);
  });

  test(`a model that the server does not know keeps the task from starting, by ${protocol}`, async (t) => {
    const server = await openInferenceServer(t, scale);
    const url = server[protocol];
    await assert.rejects(
      ask({ url, model: "nope" }),
      is(NotReadyError, /^model nope at .*: the server answered .*: Model nope not found$/),
    );
    await assert.rejects(ask({ url, version: "4" }), is(NotReadyError, /not found$/));
    server.ready = false;
    await assert.rejects(ask({ url }), is(NotReadyError, /^model scale at /));
  });

  test(`a server that is away is waited for, with back-off, by ${protocol}`, async (t) => {
    const gone = await openInferenceServer(t, scale);
    const url = gone[protocol];
    await gone[Symbol.asyncDispose]();
    const begin = performance.now();
    await assert.rejects(ask({ url }), is(RetryableError, /^model scale at .*: .*ECONNREFUSED/));
    assert.ok(performance.now() - begin < 30_000, "in virtual time");
  });

  test(`a server that comes late is waited for, and the operator is told meanwhile, by ${protocol}`, async (t) => {
    const port = await freePort();
    const clock = new VirtualClock(0);
    const context = openContext(t, { clock });
    const url = `${protocol}://127.0.0.1:${port}`;
    const batching = { maxSize: 1, maxDelay: 0, maxQueuedRows: 1, maxQueuedBytes: 1 };
    const opening = openInference({ url, model: "scale" }).open(context, { step: "infer", batching });
    await until("it is said what is waited for", () => context.reasons.length > 0);
    assert.match(context.reasons[0] ?? "", /^model scale at (http|grpc):\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/);
    await openInferenceServer(t, scale, { ports: { [protocol]: port } });
    const opened = { done: false };
    const done = opening.finally(() => (opened.done = true));
    await until("it is there", async () => {
      await clock.advance(100);
      return opened.done;
    });
    await using model = await done;
    assert.deepEqual(model.identity, { name: "scale", version: "3" });
    assert.equal(context.reasons.at(-1), undefined);
  });
}

test("Retry-After of a reply is waited for, as seconds or as a date", async (t) => {
  const server = await openInferenceServer(t, scale);
  server.misdeed = first(1, { how: "refuses", status: 429, headers: { "retry-after": "7" } });
  const told = (retryAfter: number) => (error: unknown) => (error as RetryableError).retryAfter === retryAfter;
  await assert.rejects(ask({ url: server.http }), told(7000));
  // The pipeline's clock begins at 0, which is 1970.
  server.misdeed = first(1, { how: "refuses", status: 503, headers: { "retry-after": "Thu, 01 Jan 1970 01:00:00 GMT" } });
  await assert.rejects(ask({ url: server.http }), (error) => {
    const after = (error as RetryableError).retryAfter ?? 0;
    return after > 3_500_000 && after <= 3_600_000;
  });
  server.misdeed = first(1, { how: "refuses", status: 14, headers: { "grpc-retry-pushback-ms": "90" } });
  await assert.rejects(ask({ url: server.grpc }), told(90));
});
