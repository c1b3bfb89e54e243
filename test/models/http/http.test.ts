import assert from "node:assert/strict";
import { test } from "node:test";

import type { InferOptions, ModelSpec } from "millrace";
import { from, http, memorySink, memorySource } from "millrace";
import { runPipeline } from "millrace/testing";

import { boxOf } from "../../pipeline/source-of.ts";
import { httpServer, json } from "../../support/http-server.ts";

/** What comes of values, each as it came out or as the message with which it failed. */
async function infer<In, Out>(model: ModelSpec<In, Out>, values: readonly In[], options: InferOptions = {}) {
  const failures: string[] = [];
  const plan = from(memorySource<In>([]))
    .infer(model, { onError: "deadLetter", ...options })
    .deadLetter(boxOf())
    .to(memorySink());
  const { values: outputs, letters } = await runPipeline<Out>(
    plan,
    values.map((value) => ({ value, key: `k${String(value)}` })),
  );
  for (const letter of letters) failures.push(letter.message);
  return { outputs, failures };
}

test("each value is posted as JSON, and the reply's JSON is the result", async (t) => {
  const server = await httpServer(t, (request, response) => json(response, { twice: 2 * (JSON.parse(request.body) as { n: number }).n }));
  const { outputs } = await infer(http({ url: `${server.url}/double` }), [{ n: 1 }, { n: 2 }, { n: 3 }]);
  assert.deepEqual(outputs, [{ twice: 2 }, { twice: 4 }, { twice: 6 }]);
  assert.deepEqual(
    server.received.map(({ method, path, headers }) => [method, path, headers["content-type"]]),
    Array.from({ length: 3 }, () => ["POST", "/double", "application/json"]),
  );
});

test("method, URL, what goes behind it, headers and body can be made of the value and its event", async (t) => {
  const server = await httpServer(t, (_request, response) => json(response, "done"));
  await infer(
    http<number, string>({
      url: (n) => `${server.url}/base/?v=${n}`,
      subpath: (_n, event) => `/items/${event.key}?full`,
      method: (n) => (n === 1 ? "PUT" : "get"),
      headers: (n, event) => ({ "X-Number": n, "x-offset": event.offset }),
      body: (n) => ({ n }),
    }),
    [1, 2],
  );
  const sent = server.received
    .map(({ method, path, body, headers }) => [method, path, headers["x-number"], headers["x-offset"], headers["content-type"], body])
    .toSorted((a, b) => String(a).localeCompare(String(b)));
  assert.deepEqual(sent, [
    ["GET", "/base/items/k2?v=2&full", "2", "1", undefined, ""],
    ["PUT", "/base/items/k1?v=1&full", "1", "0", "application/json", '{"n":1}'],
  ]);
});

test("text and bytes are sent as they are; a content type that is given stays", async (t) => {
  const server = await httpServer(t, (_request, response) => json(response, 0));
  await infer(http({ url: server.url }), ["plain"]);
  await infer(http({ url: server.url, body: new Uint8Array([104, 105]) }), ["x"]);
  await infer(http({ url: server.url, headers: { "Content-Type": "text/csv" } }), ["a,b"]);
  assert.deepEqual(
    server.received.map(({ body, headers }) => [body, headers["content-type"]]),
    [
      ["plain", "text/plain; charset=utf-8"],
      ["hi", "application/octet-stream"],
      ["a,b", "text/csv"],
    ],
  );
});

test("a reply is JSON, text, bytes, or what a function makes of it", async (t) => {
  const server = await httpServer(t, (_request, response) => response.setHeader("x-score", "7").end("hello"));
  const { url } = server;
  assert.deepEqual((await infer(http({ url, reply: "text" }), [1])).outputs, ["hello"]);
  assert.deepEqual((await infer(http<number, Buffer>({ url, reply: "bytes" }), [1])).outputs, [Buffer.from("hello")]);
  const model = http<number, string>({
    url,
    reply: (reply, n) => `${n} ${reply.status} ${String(reply.headers["x-score"])} ${reply.text()}`,
  });
  assert.deepEqual((await infer(model, [1])).outputs, ["1 200 7 hello"]);
});

test("an answer without content is null", async (t) => {
  const server = await httpServer(t, (_request, response) => response.writeHead(204).end());
  assert.deepEqual((await infer(http({ url: server.url }), [1])).outputs, [null]);
});

test("with rows: batch one request has all values, and its reply one result for each", async (t) => {
  const server = await httpServer(t, (request, response) =>
    json(
      response,
      (JSON.parse(request.body) as number[]).map((n) => n * 2),
    ),
  );
  const model = http<number, number>({ url: server.url, rows: "batch" });
  assert.deepEqual((await infer(model, [1, 2, 3])).outputs, [2, 4, 6]);
  assert.deepEqual(
    server.received.map(({ body }) => body),
    ["[1,2,3]"],
  );
});

test("a row too many in the reply of a batch is an error, not a result for someone", async (t) => {
  const server = await httpServer(t, (_request, response) => json(response, [1, 2, 3]));
  const model = http<number, number>({ url: server.url, rows: "batch", name: "scores" });
  const { outputs, failures } = await infer(model, [1, 2], { retries: 0 });
  assert.deepEqual(outputs, []);
  assert.deepEqual(failures, [
    "model scores@1: the model returned 3 results for 1 inputs",
    "model scores@1: the model returned 3 results for 1 inputs",
  ]);
});

test("408, 425, 429 and 5xx are asked again, as often as the step's retries say, and 6 times where it does not", async (t) => {
  const plan = [408, 425, 429, 500, 503, 599, 200];
  const server = await httpServer(t, (_request, response, number) => json(response, number, plan[number % 7]));
  assert.deepEqual(await infer(http({ url: server.url, breaker: "off" }), ["x"]), { outputs: [6], failures: [] });
  const url = server.url.replace("http://", "http://me:secret@");
  const { failures } = await infer(http({ url: `${url}/a?token=secret`, name: "m" }), ["x"], { retries: 1 });
  assert.deepEqual(failures, [`model m@1: POST ${server.url}/a: answered 425 with "8"`]);
  assert.equal(server.received.length, 9);
  assert.equal(server.received[8]?.headers.authorization, `Basic ${Buffer.from("me:secret").toString("base64")}`);
  assert.equal(server.received[8].path, "/a?token=secret");
});

test("a Retry-After of the reply is waited for, by the clock", async (t) => {
  const server = await httpServer(t, (_request, response, number) => {
    if (number === 0) response.writeHead(503, { "retry-after": "60" }).end();
    else json(response, "back");
  });
  const started: number[] = [];
  const plan = from(memorySource<number>([]))
    .infer(http<number, string>({ url: server.url, headers: () => (started.push(now()), {}) }))
    .via<string>("clock", (input, run) => ((now = () => run.clock.now()), input))
    .to(memorySink());
  let now = () => Number.NaN;
  assert.deepEqual((await runPipeline(plan, [{ value: 1 }])).values, ["back"]);
  assert.deepEqual(started, [0, 60_000]);
});

test("another status is refused at once, and fails its row alone", async (t) => {
  const server = await httpServer(t, (request, response) =>
    request.body === "2" ? response.writeHead(404).end("nope") : json(response, Number(request.body)),
  );
  const { outputs, failures } = await infer(http({ url: server.url, name: "m" }), [1, 2, 3]);
  assert.deepEqual(outputs, [1, 3]);
  assert.deepEqual(failures, [`model m@1: POST ${server.url}/: answered 404 with "nope"`]);
  assert.equal(server.received.length, 3);
});

test("a redirect is not followed, and told so", async (t) => {
  const server = await httpServer(t, (_request, response) => response.writeHead(302, { location: "http://169.254.169.254/" }).end());
  const { failures } = await infer(http({ url: server.url }), [1]);
  assert.match(String(failures[0]), /answered 302 with nothing; redirects are not followed/);
});

test("an endpoint that is away is asked again, and then named with what is wrong", async (t) => {
  const server = await httpServer(t, (_request, response, number) => {
    if (number === 0) response.destroy();
    else json(response, number);
  });
  assert.deepEqual((await infer(http({ url: server.url }), [1], { retries: 1 })).outputs, [1]);
  const { failures } = await infer(http({ url: "http://127.0.0.1:1/x?key=secret", name: "m" }), [1], { retries: 1 });
  assert.deepEqual(failures, ["model m@1: POST http://127.0.0.1:1/x: connect ECONNREFUSED 127.0.0.1:1"]);
});

test("a reply that ends too early, is too large, or never ends is an error of its own kind", async (t) => {
  const server = await httpServer(t, ({ path }, response) => {
    if (path === "/cut") response.writeHead(200, { "content-length": "100" }).write("[1,", () => response.destroy());
    if (path === "/truncated") response.end('{"a": [1, 2');
    if (path === "/endless") {
      const more = () => void (!response.destroyed && response.write("x".repeat(65_536), () => setImmediate(more)));
      more();
    }
    if (path === "/slow") response.write("[");
  });
  const of = async (subpath: string, options = {}) =>
    String((await infer(http({ url: server.url, subpath, name: "m", ...options }), [1], { retries: 0 })).failures[0]);
  assert.match(await of("cut"), /^model m@1: POST http:\S+\/cut: (other side closed|terminated)/);
  assert.match(await of("truncated"), /\/truncated: answered 200 with a body that is no JSON: .*it begins with "\{\\"a\\": \[1, 2"$/);
  assert.match(await of("endless", { maxReplyBytes: 1_000_000 }), /\/endless: the reply is larger than maxReplyBytes allows$/);
  assert.match(await of("slow", { timeout: "100ms" }), /\/slow: no answer within 100 ms$/);
});

test("what a product's function throws fails its row, and is not tried again", async (t) => {
  const server = await httpServer(t, (_request, response) => json(response, 1));
  const throws = () => {
    throw new TypeError("boom");
  };
  const body = await infer(http({ url: server.url, name: "m", body: throws }), [1]);
  assert.deepEqual(body.failures, ["model m@1: no request can be made: boom"]);
  const reply = await infer(http({ url: server.url, name: "m", reply: throws }), [1]);
  assert.deepEqual(reply.failures, [`model m@1: POST ${server.url}/: its reply could not be read: boom`]);
  assert.equal(server.received.length, 1);
});

test("values that JSON has nothing for, and headers that are none, fail their row", async () => {
  const url = "http://127.0.0.1:1/";
  assert.match(String((await infer(http({ url }), [1n])).failures[0]), /no request can be made: .*BigInt/);
  assert.match(
    String((await infer(http({ url, body: () => undefined }), [1])).failures[0]),
    /there is no JSON for a body that is undefined/,
  );
  assert.match(String((await infer(http({ url, headers: { "x-a": "b\r\nc" } }), [1])).failures[0]), /invalid x-a header/);
  assert.match(String((await infer(http({ url: () => "file:///etc/passwd" }), [1])).failures[0]), /begins with file:\/\//);
});

test("no more requests than concurrency allows are under way, over all pipelines", async (t) => {
  let now = 0;
  let most = 0;
  const server = await httpServer(t, (_request, response) => {
    most = Math.max(most, ++now);
    setTimeout(() => {
      now -= 1;
      json(response, 1);
    }, 5);
  });
  const values = Array.from({ length: 20 }, (_, index) => index);
  const { outputs } = await infer(http({ url: server.url, concurrency: 3 }), values, { maxInFlight: 8, batch: { maxSize: 2 } });
  assert.equal(outputs.length, 20);
  assert.equal(most, 3);
});

test("options that can't be right are refused before anything runs, without showing what may be secret", () => {
  for (const [options, message] of [
    [{ url: "no url, pass=secret" }, 'http: the url can\'t be read as one; write it as "http://host:port/path"'],
    [{ url: "ftp://host/" }, "http: the url begins with ftp://; give http:// or https://"],
    [{ url: "http://h/x", concurrency: 0 }, "http h/x: concurrency must be a whole number, 1 or more (got 0)"],
    [{ url: "http://h/x", timeout: "soon" }, /http h\/x: timeout: "soon" is no duration/],
  ] as const) {
    assert.throws(() => http(options), { name: "PlanError", message });
  }
  const { description } = http({ url: "http://me:secret@h:1/x?token=secret", headers: { authorization: "secret" } });
  assert.deepEqual(description, { model: "h:1/x", url: "http://h:1/x", rows: "one" });
});
