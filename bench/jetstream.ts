/**
 * JetStream → change a field → JetStream: through Millrace's source, engine and sink, beside a loop written by hand on the
 * same client with the same window. JSON of about 200 bytes, file storage, explicit acknowledgements, message ids in both.
 * Prints events/s and CPU seconds per million of this process, and the ratio of the rates, from rounds that alternate.
 *
 *   node bench/jetstream.ts [events, default 200000] [rounds, default 3]
 *
 * Uses the server that MILLRACE_TEST_NATS names, or starts one.
 */
import "../src/hooks.ts";
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers } from "@nats-io/transport-node";

import { decode, from } from "../src/index.ts";
import { createInstance } from "../src/pipeline/instance.ts";
import { openSharedResources } from "../src/shared-resources.ts";
import { jetstreamSink } from "../src/sinks/jetstream.ts";
import { jetstreamSource } from "../src/sources/jetstream.ts";
import { sharedServices } from "../test/support/services/index.ts";
import { benchContext, median, row, timed } from "./measure.ts";

interface Bid {
  readonly auction: number;
  readonly price: number;
}

const EVENTS = Number(process.argv[2] ?? 200_000);
const ROUNDS = Number(process.argv[3] ?? 3);
const WINDOW = 4096;

await using services = await sharedServices(["nats"]);
const address = services.addresses.get("nats") ?? "";
const client = await connect({ servers: address.replace(/^\w+:\/\//, ""), noAsyncTraces: true });
const manager = await jetstreamManager(client);
const js = jetstream(client);
const name = `bench-${process.pid}`;

function bid(index: number): string {
  const url = `https://www.nexmark.com/${"abcdefghij".repeat(3)}/item.htm?query=1&channel_id=${index}`;
  return JSON.stringify({
    auction: index % 1000,
    bidder: index % 5000,
    price: (index * 7919) % 100_000,
    channel: "channel-7",
    url,
    at: 1_700_000_000_000 + index,
  });
}

async function fill(): Promise<void> {
  await manager.streams.add({ name: `${name}-in`, subjects: [`${name}-in`] });
  for (let start = 0; start < EVENTS; start += WINDOW) {
    await Promise.all(Array.from({ length: Math.min(WINDOW, EVENTS - start) }, (_, index) => js.publish(`${name}-in`, bid(start + index))));
  }
}

/** Runs `work` until the output has everything. */
async function measured(work: (output: string, done: AbortSignal) => Promise<void>, round: string) {
  const output = `${name}-${round}`;
  await manager.streams.add({ name: output, subjects: [output] });
  const done = new AbortController();
  const watch = async () => {
    for (let stored = 0; stored < EVENTS;) {
      await new Promise((resolve) => setTimeout(resolve, 20));
      stored = (await manager.streams.info(output)).state.messages;
    }
    done.abort();
  };
  const timing = await timed(() => Promise.all([work(output, done.signal), watch()]));
  await manager.streams.delete(output);
  return timing;
}

async function throughMillrace(output: string, done: AbortSignal): Promise<void> {
  const plan = from(jetstreamSource({ stream: `${name}-in`, consumer: output, create: true }))
    .map(decode.json<Bid>)
    .map((value) => ({ ...value, price: value.price * 0.908 }))
    .to(jetstreamSink({ subject: output, window: WINDOW }));
  const connections = { ...benchContext().connections, nats: { servers: [address], credentials: undefined } };
  await createInstance(plan, benchContext({ connections, shared: openSharedResources() })).run(done);
}

/** Acknowledged when what came of it is stored, as many under way as the pipeline's window. */
async function byHand(output: string, done: AbortSignal): Promise<void> {
  await manager.consumers.add(`${name}-in`, { durable_name: output, ack_policy: "explicit", max_ack_pending: 65_536 });
  const consumer = await js.consumers.get(`${name}-in`, output);
  const messages = await consumer.consume({ max_messages: WINDOW });
  done.addEventListener("abort", () => messages.stop());
  let under = 0;
  let resume: (() => void) | undefined;
  for await (const message of messages) {
    const value = JSON.parse(message.string()) as Bid;
    const carried = headers();
    carried.set("Nats-Msg-Id", `${output}:${message.seq}`);
    under++;
    void js.publish(output, JSON.stringify({ ...value, price: value.price * 0.908 }), { headers: carried }).then(() => {
      message.ack();
      under--;
      resume?.();
    });
    if (under >= WINDOW) await new Promise<void>((resolve) => (resume = resolve));
  }
}

try {
  await fill();
  const rates: Record<"millrace" | "by hand", number[]> = { millrace: [], "by hand": [] };
  for (let round = 0; round < ROUNDS; round++) {
    for (const [which, work] of [
      ["by hand", byHand],
      ["millrace", throughMillrace],
    ] as const) {
      const timing = await measured(work, `${which === "millrace" ? "m" : "h"}${round}`);
      rates[which].push(EVENTS / timing.seconds);
      console.log(row(which, EVENTS, timing));
    }
  }
  const ratio = median(rates.millrace) / median(rates["by hand"]);
  console.log(`Millrace's rate is ${ratio.toFixed(2)} of the loop's (medians of ${ROUNDS})`);
} finally {
  await manager.streams.delete(`${name}-in`).catch(() => false);
  await client.close();
}
