/**
 * Latency of Kafka → change a field → Kafka at a steady rate: from when a record is handed to the producer of an open-loop
 * generator to when the broker appends what came of it (LogAppendTime of the output). Through `millrace run` with one worker,
 * beside a loop written by hand on the same client and Kafka Streams, in rounds that alternate. See bench/README.md.
 */
import { parseArgs } from "node:util";

import { BenchBroker, BROKER_VARIABLE } from "./support/broker.ts";
import { type Bid, bids } from "./support/nexmark.ts";
import { type Latency, latencyLine, type Load, medianLatency, steadyLatency } from "./support/steady.ts";
import { handLoop, kafkaStreams, millrace, type Variant } from "./support/workers.ts";

const VARIANTS: Readonly<Record<string, Variant>> = {
  hand: handLoop,
  m1: millrace(1),
  ks: { ...kafkaStreams(1, ["linger=0"]), name: "Kafka Streams, linger 0" },
  ksd: { ...kafkaStreams(1), name: "Kafka Streams, defaults" },
};

const HELP = `node bench/latency.ts [options]
  --rate N         events a second (5000)
  --seconds N      measured, after --warmup (8)
  --warmup N       seconds at the rate that are left out (4)
  --rounds N       rounds; figures are medians (2)
  --variants LIST  of ${Object.keys(VARIANTS).join(",")} (all)
Starts a broker of its own, unless ${BROKER_VARIABLE} names one.`;

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "5000" },
    seconds: { type: "string", default: "8" },
    warmup: { type: "string", default: "4" },
    rounds: { type: "string", default: "2" },
    variants: { type: "string", default: Object.keys(VARIANTS).join(",") },
    help: { type: "boolean", default: false },
  },
});
const PACE = { rate: Number(values.rate), warmup: Number(values.warmup) * 1000, measured: Number(values.seconds) * 1000 };

if (values.help) {
  console.log(HELP);
} else {
  await using broker = await BenchBroker.open();
  await main(broker);
}

async function main(broker: BenchBroker): Promise<void> {
  const runs = new Map<string, Latency[]>();
  const wanted = values.variants.split(",");
  const load = bidLoad();
  for (let round = 0; round < Number(values.rounds); round++) {
    for (const [id, variant] of Object.entries(VARIANTS)) {
      if (!wanted.includes(id)) continue;
      const start: Parameters<typeof steadyLatency>[1] = (topics) => variant.start({ brokers: broker.address, job: "change", ...topics });
      const run = await steadyLatency(broker, start, load, PACE);
      runs.set(id, [...(runs.get(id) ?? []), run]);
      console.log(latencyLine(variant.name, run));
    }
  }
  console.log("medians:");
  const medians = new Map([...runs].map(([id, all]) => [id, medianLatency(all)]));
  for (const [id, run] of medians) console.log(latencyLine(VARIANTS[id]?.name ?? id, run));
  const [ours, loop] = [medians.get("m1"), medians.get("hand")];
  if (ours !== undefined && loop !== undefined) {
    console.log(`p99 of Millrace / by hand: ${(ours.p99 / loop.p99).toFixed(2)} (wanted: at most 1.5)`);
  }
}

/** Bids whose time of sending is in `extra`, which workers pass on. */
function bidLoad(): Load {
  const pool = [...bids(10_000)];
  return {
    message: (number, phase) => {
      const bid = pool[number % pool.length] as Bid;
      return { key: String(bid.auction), value: JSON.stringify({ ...bid, extra: `${phase} ${Date.now()}` }) };
    },
    sentAt: ({ value }) => {
      const [phase, sentAt] = (JSON.parse(value.toString()) as Bid).extra.split(" ");
      return phase === "measured" ? Number(sentAt) : undefined;
    },
  };
}
