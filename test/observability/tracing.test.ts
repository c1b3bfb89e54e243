import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer, type IncomingHttpHeaders } from "node:http";
import type { AddressInfo } from "node:net";
import { test, type TestContext } from "node:test";

import type { Event } from "../../src/batch.ts";
import { type Logger, SILENT } from "../../src/contracts.ts";
import { openTracing } from "../../src/observability/tracing.ts";
import { until } from "../support/until.ts";

interface Attribute {
  readonly key: string;
  readonly value: { readonly stringValue?: string; readonly intValue?: number };
}

interface Span {
  readonly traceId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly attributes: readonly Attribute[];
  readonly links?: readonly { readonly traceId: string; readonly spanId: string }[];
  readonly status: { readonly code?: number; readonly message?: string };
}

/** A collector of OTLP over HTTP, as JSON. */
class Collector {
  readonly requests: { readonly url: string | undefined; readonly headers: IncomingHttpHeaders; readonly body: string }[] = [];
  status = 200;
  url = "";

  static async start(t: TestContext): Promise<Collector> {
    const collector = new Collector();
    const server = createServer((request, response) => {
      let body = "";
      request.setEncoding("utf8").on("data", (text: string) => (body += text));
      request.on("end", () => {
        collector.requests.push({ url: request.url, headers: request.headers, body });
        response.writeHead(collector.status, { "content-type": "application/json" }).end("{}");
      });
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    t.after(() => {
      server.close();
      server.closeAllConnections();
    });
    collector.url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    return collector;
  }

  spans(): Span[] {
    type Body = { resourceSpans: { scopeSpans: { spans: Span[] }[] }[] };
    const bodies = this.requests.map(({ body }) => JSON.parse(body) as Body);
    return bodies.flatMap(({ resourceSpans }) => resourceSpans.flatMap(({ scopeSpans }) => scopeSpans.flatMap(({ spans }) => spans)));
  }
}

function event(traceparent: string | Uint8Array | undefined): Event {
  const headers =
    traceparent === undefined
      ? undefined
      : ([
          ["other", "x"],
          ["traceparent", traceparent],
        ] as const);
  return { value: "hunter22", headers } as Partial<Event> as Event;
}

const hex = (n: number, digits: number) => n.toString(16).padStart(digits, "0");
const parent = (trace: number, flags = "01") => `00-${hex(trace, 32)}-${hex(trace, 16)}-${flags}`;
const model = { name: "digits", version: "3" };
const surroundings = { logger: SILENT, instance: "worker 1" };

test("a call is a span that tells the model and links to the traces of its events, each once", async (t) => {
  const collector = await Collector.start(t);
  const tracing = openTracing({ endpoint: collector.url, sample: 1 }, surroundings);
  const events = [
    event(parent(1)),
    event(undefined),
    event(Buffer.from(parent(2))),
    event(parent(1)),
    event(`zz-${parent(3)}`),
    event("00-0-0-01"),
  ];
  tracing.tracer.begin({ model, kind: "threads", rows: 6, call: { events, joined: 2 } })?.end();
  tracing.tracer.begin({ model, kind: "http", rows: 1, call: { events: [event(undefined)] } })?.end("TypeError");
  await tracing[Symbol.asyncDispose]();

  const [first, second] = collector.spans();
  assert.equal(first?.name, "predict digits");
  assert.equal(first.parentSpanId, undefined);
  assert.deepEqual(values(first), {
    "millrace.model.name": "digits",
    "millrace.model.version": "3",
    "millrace.model.kind": "threads",
    "millrace.model.rows": 6,
    "millrace.model.joined_calls": 2,
  });
  assert.deepEqual(
    first.links?.map(({ traceId, spanId }) => [traceId, spanId]),
    [1, 2].map((n) => [hex(n, 32), hex(n, 16)]),
  );
  assert.deepEqual([first.kind, second?.kind], [1, 3], "internal, and client for what is elsewhere");
  assert.notEqual(first.traceId, second?.traceId);
  assert.equal(second && values(second)["error.type"], "TypeError");
  assert.deepEqual(second?.status, { code: 2 });
  assert.equal(collector.requests[0]?.url, "/v1/traces");
  const { body } = collector.requests[0];
  assert.match(body, /"service\.name","value":\{"stringValue":"millrace"\}/);
  assert.doesNotMatch(body, /hunter22/, "nothing that an event holds");
});

test("no more than 128 traces are linked to, and first those that are recorded elsewhere too", async (t) => {
  const collector = await Collector.start(t);
  const tracing = openTracing({ endpoint: collector.url, sample: 1 }, surroundings);
  const unsampled = Array.from({ length: 200 }, (_, n) => event(parent(n + 1, "00")));
  const events = [...unsampled, event(parent(1000)), event(parent(1001))];
  tracing.tracer.begin({ model, kind: "worker", rows: events.length, call: { events } })?.end();
  await tracing[Symbol.asyncDispose]();
  const traces = collector.spans()[0]?.links?.map(({ traceId }) => Number.parseInt(traceId, 16)) ?? [];
  assert.deepEqual([traces.length, ...traces.slice(0, 3)], [128, 1000, 1001, 1]);
});

test("the share of calls that is asked for is recorded, and of the others not even their events are looked at", async (t) => {
  const collector = await Collector.start(t);
  const chances = [0.1, 0.3, 0.7, 0.24];
  const random = () => chances.shift() ?? 1;
  const tracing = openTracing({ endpoint: `${collector.url}/v1/traces`, sample: 0.25 }, { ...surroundings, random });
  let looks = 0;
  const call = {
    get events() {
      looks++;
      return [];
    },
  };
  for (let n = 0; n < 4; n++) tracing.tracer.begin({ model, kind: "worker", rows: 1, call })?.end();
  await tracing[Symbol.asyncDispose]();
  assert.deepEqual([collector.spans().length, looks], [2, 2]);
  assert.equal(collector.requests[0]?.url, "/v1/traces");
});

test("a password in the address is for the collector alone, and a collector that refuses is told of once, without it", async (t) => {
  const collector = await Collector.start(t);
  collector.status = 400;
  const told: string[] = [];
  const logger: Logger = { ...SILENT, warn: (_, message) => void told.push(message), info: (_, message) => void told.push(message) };
  const endpoint = collector.url.replace("//", "//me:hunter22@");
  const tracing = openTracing({ endpoint, sample: 1 }, { logger, instance: "worker 1" });
  const call = () => tracing.tracer.begin({ model, kind: "worker", rows: 0, call: { events: [] } })?.end();
  call();
  await until("the first is refused", () => told.length === 1);
  call();
  await until("the second is refused", () => collector.requests.length === 2);
  collector.status = 200;
  call();
  await until("the third is taken", () => told.length === 2);
  await tracing[Symbol.asyncDispose]();
  assert.equal(collector.requests[0]?.headers.authorization, `Basic ${btoa("me:hunter22")}`);
  assert.match(told[0] ?? "", /^spans can't be sent/);
  assert.deepEqual(told.slice(1), ["spans are sent again"]);
  assert.doesNotMatch(told.join(), /hunter22/);
});

test("a collector that gives no answer is waited for a second at the end", async (t) => {
  const server = createServer(() => undefined).listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const tracing = openTracing({ endpoint, sample: 1 }, surroundings);
  tracing.tracer.begin({ model, kind: "worker", rows: 0, call: { events: [] } })?.end();
  const began = performance.now();
  await tracing[Symbol.asyncDispose]();
  assert.ok(performance.now() - began < 5000);
});

function values({ attributes }: Span): Record<string, string | number | undefined> {
  return Object.fromEntries(attributes.map(({ key, value }) => [key, value.stringValue ?? value.intValue]));
}
