/**
 * A model on an Open Inference server that does nothing (a process of its own): Millrace's `openInference` beside a loop on undici's
 * `Pool.request`, one row of 784 numbers a call, 1, 8 and 32 calls in flight, by binary tensors; then rows per second with 64 rows a call
 * beside one row a call. Prints calls or rows per second, CPU seconds per million, and the ratios.
 *
 *   node bench/remote.ts [calls of a round, default 20000] [rounds, default 5]
 */
import "../src/hooks.ts";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";

import { Pool } from "undici";

import type { SinkSpec } from "../src/contracts.ts";
import { from, memorySource, openInference } from "../src/index.ts";
import { createInstance } from "../src/pipeline/instance.ts";
import { openSharedResources } from "../src/shared-resources.ts";
import type { Timing } from "./measure.ts";
import { benchContext, median, row, timed } from "./measure.ts";

const CALLS = Number(process.argv[2] ?? 20_000);
const ROUNDS = Number(process.argv[3] ?? 5);
const INPUT = 784;
const OUTPUT = 10;
const JSON_LENGTH = "inference-header-content-length";
/** Different rows, so that nothing is the same object twice in a row. */
const ROWS = Array.from({ length: 256 }, (_, row) => Float32Array.from({ length: INPUT }, (_, index) => ((row + index) % 256) / 255));

function rowOf(index: number): Float32Array {
  return ROWS[index % ROWS.length] as Float32Array;
}

/** The same by hand: nothing but the requests, so many loops as there may be in flight, results in no order. */
async function byHand(pool: Pool, calls: number, inFlight: number): Promise<number> {
  let next = 0;
  let results = 0;
  const loop = async () => {
    while (next < calls) {
      const raw = rowOf(next++);
      const bytes = new Uint8Array(raw.buffer, raw.byteOffset, raw.byteLength);
      const input = { name: "x", datatype: "FP32", shape: [1, INPUT], parameters: { binary_data_size: bytes.length } };
      const json = Buffer.from(JSON.stringify({ inputs: [input], outputs: [{ name: "y", parameters: { binary_data: true } }] }));
      const headers = { "content-type": "application/octet-stream", [JSON_LENGTH]: String(json.length) };
      const reply = await pool.request({ method: "POST", path: "/v2/models/noop/infer", headers, body: Buffer.concat([json, bytes]) });
      const body = await reply.body.bytes();
      const end = Number(reply.headers[JSON_LENGTH]);
      const { outputs } = JSON.parse(Buffer.from(body.buffer, body.byteOffset, end).toString()) as { outputs: { shape: number[] }[] };
      const output = new Float32Array(body.slice(end).buffer);
      if (outputs[0]?.shape[0] === 1 && output.length === OUTPUT) results += 1;
    }
  };
  await Promise.all(Array.from({ length: inFlight }, loop));
  return results;
}

/** As a task does it: source → infer → sink, results in order. */
async function throughMillrace(url: string, rows: number, maxInFlight: number, maxSize: number): Promise<number> {
  let results = 0;
  const sink: SinkSpec = {
    kind: "count",
    description: {},
    open: () =>
      Promise.resolve({
        write: (events) => {
          for (const event of events) if ((event.value as Float32Array).length === OUTPUT) results += 1;
          return Promise.resolve();
        },
        [Symbol.asyncDispose]: () => Promise.resolve(),
      }),
  };
  const events = {
    *[Symbol.iterator]() {
      for (let index = 0; index < rows; index++) yield { value: rowOf(index) };
    },
  };
  const plan = from(memorySource(events))
    .infer(openInference<Float32Array, Float32Array>({ url, model: "noop", maxInFlight }), { maxInFlight, batch: { maxSize } })
    .to(sink);
  await createInstance(plan, benchContext({ shared: openSharedResources() })).run(new AbortController().signal);
  return results;
}

async function checked(name: string, expected: number, run: () => Promise<number>): Promise<Timing<number>> {
  const timing = await timed(run);
  if (timing.result !== expected) throw new Error(`${name}: ${timing.result} results, not ${expected}`);
  return timing;
}

function told(what: string, ratios: readonly number[], wanted: string): void {
  console.log(`${what}: median ${median(ratios).toFixed(2)} of ${ratios.map((ratio) => ratio.toFixed(2)).join(" ")} (wanted: ${wanted})\n`);
}

const server = spawn(process.execPath, [fileURLToPath(new URL("peers/open-inference-server.ts", import.meta.url))], {
  stdio: ["pipe", "pipe", "inherit"],
});
const [port] = (await once(server.stdout, "data")) as [Buffer];
const url = `http://127.0.0.1:${port.toString().trim()}`;
const pool = new Pool(url);

for (const inFlight of [1, 8, 32]) {
  const ratios: number[] = [];
  // The first round warms both up; who goes first changes.
  for (let round = 0; round <= ROUNDS; round++) {
    const hand = () => checked("by hand", CALLS, () => byHand(pool, CALLS, inFlight));
    const ours = () => checked("millrace", CALLS, () => throughMillrace(url, CALLS, inFlight, 1));
    const [first, second] = round % 2 === 0 ? [await hand(), await ours()] : [await ours(), await hand()];
    const [byHandTook, oursTook] = round % 2 === 0 ? [first, second] : [second, first];
    if (round === 0) continue;
    ratios.push(byHandTook.seconds / oursTook.seconds);
    console.log(row(`by hand, ${inFlight} in flight`, CALLS, byHandTook));
    console.log(row(`millrace, ${inFlight} in flight`, CALLS, oursTook));
  }
  told(`rate of millrace / by hand, ${inFlight} in flight`, ratios, "at least 0.9");
}

const gains: number[] = [];
for (let round = 0; round <= ROUNDS; round++) {
  const one = await checked("one row", CALLS, () => throughMillrace(url, CALLS, 8, 1));
  const many = await checked("64 rows", CALLS * 8, () => throughMillrace(url, CALLS * 8, 8, 64));
  if (round === 0) continue;
  gains.push(many.result / many.seconds / (one.result / one.seconds));
  console.log(row("one row a call", CALLS, one));
  console.log(row("64 rows a call", CALLS * 8, many));
}
told("rows per second with 64 rows a call / one row a call, 8 in flight", gains, "at least 8");
await pool.destroy();
server.stdin.end();
