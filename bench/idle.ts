/**
 * What tasks cost that have nothing to do: so many of them on two workers of `millrace run`, over a generator that gives
 * nothing, over JetStream and over Kafka. Prints the CPU of the daemon (supervisor and workers together) over some seconds after it
 * has settled, and the memory of each task: that of the workers less that of workers with one task each.
 */
import { setTimeout as delay } from "node:timers/promises";
import { parseArgs } from "node:util";

import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";

import { descendants } from "../test/support/processes.ts";
import { startNats } from "../test/support/services/index.ts";
import { freePort } from "../test/support/services/ports.ts";
import { until } from "../test/support/until.ts";
import { BenchBroker } from "./support/broker.ts";
import { cpuSecondsOf, memoryOf } from "./support/cpu.ts";
import { newFolder, startDaemon, writeJson } from "./support/workers.ts";

const KINDS = ["generator", "jetstream", "kafka"] as const;
type Kind = (typeof KINDS)[number];

const HELP = `node bench/idle.ts [options]
  --tasks N       (500)
  --workers N     (2)
  --seconds N     over which CPU is measured (30)
  --sources LIST  of ${KINDS.join(",")} (all)
Starts a nats-server and a Kafka of its own.`;

const { values } = parseArgs({
  options: {
    tasks: { type: "string", default: "500" },
    workers: { type: "string", default: "2" },
    seconds: { type: "string", default: "30" },
    sources: { type: "string", default: KINDS.join(",") },
    help: { type: "boolean", default: false },
  },
});
const TASKS = Number(values.tasks);
const WORKERS = Number(values.workers);
const SECONDS = Number(values.seconds);
const START_WITHIN = 120_000;
/** Between the last task's start and the measurement. */
const SETTLE = 15_000;

interface Setup extends AsyncDisposable {
  readonly settings: Readonly<Record<string, unknown>>;
  /** The config of a task by its number, for the product `change`. */
  config(index: number): unknown;
}

const SETUPS: Readonly<Record<Kind, () => Promise<Setup>>> = { generator, jetstream, kafka };

if (values.help) {
  console.log(HELP);
} else {
  for (const kind of values.sources.split(",") as Kind[]) {
    await using setup = await SETUPS[kind]();
    const few = await measure(setup, WORKERS, 0);
    const many = await measure(setup, TASKS, SECONDS);
    const each = ((many.memory - few.memory) * 1024) / (TASKS - WORKERS);
    const memory = `${each.toFixed(0)} KiB of memory for each (workers: ${few.memory.toFixed(0)} MiB with one task each, ${many.memory.toFixed(0)} MiB)`;
    console.log(
      `${kind}: ${TASKS} idle tasks, ${WORKERS} workers: ${(many.cpu * 100).toFixed(2)} % of a core (wanted: under 3 %), ${memory}`,
    );
  }
}

function generator(): Promise<Setup> {
  return Promise.resolve({
    settings: {},
    config: () => ({ input: { generator: { rate: 0 } }, output: { memory: { name: "idle" } } }),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  });
}

async function jetstream(): Promise<Setup> {
  const server = await startNats();
  const client = await connect({ servers: server.address.replace(/^\w+:\/\//, "") });
  const manager = await jetstreamManager(client);
  for (const name of ["IN", "OUT"]) await manager.streams.add({ name, subjects: [`${name.toLowerCase()}.>`] });
  await client.close();
  return {
    settings: { nats: { servers: [server.address] } },
    config: (index) => ({
      input: { jetstream: { stream: "IN", subject: `in.${index}`, create: true } },
      output: { jetstream: { subject: "out.all" } },
    }),
    [Symbol.asyncDispose]: async () => await server[Symbol.asyncDispose](),
  };
}

async function kafka(): Promise<Setup> {
  const broker = await BenchBroker.open();
  await broker.makeTopic("idle-in");
  await broker.makeTopic("idle-out");
  return {
    settings: { kafka: { brokers: broker.address.split(",") } },
    config: () => ({ input: { kafka: { topic: "idle-in" } }, output: { kafka: { topic: "idle-out" } } }),
    [Symbol.asyncDispose]: async () => await broker[Symbol.asyncDispose](),
  };
}

/** @returns cores in use, and MiB that the workers hold */
async function measure(setup: Setup, tasks: number, seconds: number): Promise<{ cpu: number; memory: number }> {
  const folder = newFolder("idle");
  const list = Array.from({ length: tasks }, (_, index) => ({ id: `idle-${index}`, product: "change", config: setup.config(index) }));
  writeJson(folder, "tasks/idle.json", list);
  const port = await freePort();
  await using daemon = startDaemon(folder, { ...setup.settings, workers: WORKERS, admin: { port } });
  const running = async () => {
    if (daemon.trouble !== undefined) return true;
    const response = await fetch(`http://127.0.0.1:${port}/api/tasks`);
    const shown = (await response.json()) as readonly { readonly state: string }[];
    return shown.filter(({ state }) => state === "running").length === tasks;
  };
  await until(`${tasks} tasks run`, running, { timeout: START_WITHIN, every: 500 });
  if (daemon.trouble !== undefined) throw new Error(daemon.trouble);
  await delay(SETTLE);
  const before = cpuSecondsOf(daemon.pid);
  const start = performance.now();
  await delay(seconds * 1000);
  const cpu = ((cpuSecondsOf(daemon.pid) - before) * 1000) / (performance.now() - start);
  const memory = descendants(daemon.pid).reduce((sum, pid) => sum + memoryOf(pid), 0);
  return { cpu, memory };
}
