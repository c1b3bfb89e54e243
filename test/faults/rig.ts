/** All that a fault run needs, started: brokers of its own, proxies before them, input, output, and a supervisor with its task. */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { Site } from "../support/operated.ts";
import type { Service } from "../support/services/index.ts";
import type { Owner } from "../support/temp-folder.ts";
import { Daemon } from "./daemon.ts";
import type { Victims } from "./faults.ts";
import type { RecordWriter } from "./generator.ts";
import { type Input, jetstreamInput, kafkaInput } from "./inputs.ts";
import type { FaultRunOptions } from "./options.ts";
import { type Output, outputOf } from "./outputs.ts";
import { type OwnServices, startOwnServices } from "./own-services.ts";
import type { ReadTexts } from "./readers.ts";

const PRODUCTS = fileURLToPath(new URL("products/", import.meta.url));
const TASK = "faulty";

/** A run's surroundings. */
export interface Rig extends Victims {
  readonly writer: RecordWriter;
  readonly readInput: ReadTexts;
  readonly readOutput: ReadTexts;
  /** How many records of the input are not done yet, as its broker says. */
  readonly lag: () => Promise<number>;
  /** Where each service wrote its log. */
  readonly logs: ReadonlyMap<string, string>;
}

/** Starts it all; the owner ends it. */
export async function startRig(owner: Owner, options: FaultRunOptions): Promise<Rig> {
  const own = await startOwnServices(owner, neededServices(options));
  const input = options.source === "kafka" ? await kafkaInput(own, TASK) : await jetstreamInput(own, TASK, options.pipeline);
  owner.after(() => input.writer[Symbol.asyncDispose]());
  const output = await outputOf(options.sink, own);
  const site = new Site(owner, {
    products: [join(PRODUCTS, productOf(options))],
    settings: { ...own.settings, ...settingsFor(options) },
    tasks: { [TASK]: { product: productOf(options), instances: 2, config: taskConfig(options, input, output) } },
  });
  return {
    writer: input.writer,
    readInput: input.read,
    readOutput: output.read,
    lag: input.lag,
    joinGroup: input.joinGroup,
    daemon: new Daemon(site, { main: options.main, patience: options.length + 900_000 }),
    services: own.services,
    proxies: own.proxies,
    logs: new Map([...own.services].map(([name, { logFile }]: [string, Service]) => [name, logFile])),
  };
}

function neededServices({ source, sink, store }: FaultRunOptions): ReadonlySet<keyof OwnServices["addresses"]> {
  const named = { kafka: "kafka", jetstream: "nats", redis: "redis", sql: "postgres", natsKv: "nats", file: undefined } as const;
  const needed = [source, sink, ...(store === undefined ? [] : [store])].map((name) => named[name]);
  return new Set(needed.filter((name) => name !== undefined));
}

function productOf({ pipeline }: FaultRunOptions): string {
  return pipeline === "relay" ? "fault-relay" : "fault-windows";
}

function taskConfig({ pipeline, disorder }: FaultRunOptions, input: Input, output: Output): object {
  const both = { input: input.config, output: output.config };
  return pipeline === "relay" ? both : { ...both, disorder: `${disorder}ms` };
}

function settingsFor({ store }: FaultRunOptions): object {
  return {
    worker: { heartbeat: "5s" },
    restart: { min: "200ms", max: "1s" },
    // Here it is not the task that makes workers die.
    quarantine: { after: 100, min: "1s", max: "2s" },
    ...(store === undefined ? {} : { checkpoint: { interval: "1s", store: storeOf(store) } }),
  };
}

function storeOf(store: NonNullable<FaultRunOptions["store"]>): object {
  if (store === "redis") return { redis: {} };
  return store === "natsKv" ? { natsKv: { bucket: `faults-${randomUUID()}` } } : { file: { path: "checkpoints" } };
}
