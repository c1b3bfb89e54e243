/**
 * What tracing costs each call of a model in the worker, of one row and of 256: off, on with none of the calls sampled, one in a
 * hundred, and all, each row's event with a trace of its own. Spans go to a collector in this process that reads and forgets them. Prints nanoseconds of
 * CPU per call, the median of the rounds, which take turns.
 *
 *   node bench/tracing.ts [calls of a round, default 100000] [rounds, default 5]
 */
import "../src/hooks.ts";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import type { Event } from "../src/batch.ts";
import { SILENT } from "../src/contracts.ts";
import { worker } from "../src/index.ts";
import { openTracing } from "../src/observability/tracing.ts";
import { openSharedResources } from "../src/shared-resources.ts";
import type { CallTracer } from "../src/tracing.ts";
import { benchContext, median, timed } from "./measure.ts";

const CALLS = Number(process.argv[2] ?? 100_000);
const ROUNDS = Number(process.argv[3] ?? 5);
const BATCHING = { maxSize: 256, maxDelay: 0, maxQueuedRows: 16_384, maxQueuedBytes: 64 * 1024 * 1024 };

await using resources = new AsyncDisposableStack();

const collector = createServer((request, response) => {
  request.resume().on("end", () => response.writeHead(200, { "content-type": "application/json" }).end("{}"));
}).listen(0, "127.0.0.1");
await once(collector, "listening");
resources.defer(() => {
  collector.close();
  collector.closeAllConnections();
});
const endpoint = `http://127.0.0.1:${(collector.address() as AddressInfo).port}`;

/** @returns a function that calls the model so many times, one call after the other */
async function caller(tracer: CallTracer | undefined) {
  const spec = worker(import.meta.resolve("./support/models/nothing.ts"));
  const open = resources.use(
    await spec.open(benchContext({ shared: openSharedResources(), tracer }), { step: "infer", batching: BATCHING }),
  );
  const asking = resources.use(open.caller({ name: "bench", maxInFlight: 1, priority: 0 }));
  const { signal } = new AbortController();
  return async (calls: number, rows: number) => {
    const events = Array.from({ length: rows }, (_, row): Event => {
      const headers = [["traceparent", `00-${String(row + 1).padStart(32, "0")}-${String(row + 1).padStart(16, "0")}-01`]] as const;
      const origin = { system: "bench", name: "bench", partition: 0 };
      return { value: row, key: undefined, time: 0, headers, origin, offset: row, watermark: 0, size: 8 };
    });
    const inputs = events.map(({ value }) => value);
    for (let call = 0; call < calls; call++) await asking.predict(inputs, { events, signal, until: Number.POSITIVE_INFINITY });
  };
}

function traced(sample: number): CallTracer {
  return resources.use(openTracing({ endpoint, sample }, { logger: SILENT, instance: "bench" })).tracer;
}

const variants = [
  { name: "off", call: await caller(undefined) },
  { name: "none sampled", call: await caller(traced(0)) },
  { name: "1 in 100", call: await caller(traced(0.01)) },
  { name: "all", call: await caller(traced(1)) },
];
for (const rows of [1, 256]) {
  const times = variants.map((): number[] => []);
  for (const { call } of variants) await call(CALLS / 10, rows);
  for (let round = 0; round < ROUNDS; round++) {
    for (const [index, { call }] of variants.entries()) {
      const { cpuSeconds } = await timed(() => call(CALLS, rows));
      times[index]?.push((cpuSeconds / CALLS) * 1e9);
    }
  }
  for (const [index, { name }] of variants.entries())
    console.log(
      `${String(rows).padStart(3)} rows, ${name.padEnd(12)} ${median(times[index] ?? [])
        .toFixed(0)
        .padStart(6)} ns`,
    );
}
