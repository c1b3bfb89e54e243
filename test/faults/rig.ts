/** All that a fault run needs, started: brokers of its own, proxies before them, input, output, and a supervisor with its task. */
import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import type { CheckpointStoreSettings } from "../../src/checkpoint-settings.ts";
import { Site } from "../support/operated.ts";
import type { Service } from "../support/services/index.ts";
import type { Owner } from "../support/temp-folder.ts";
import { CheckpointWatch, savedPositions } from "./checkpoint-watch.ts";
import { Daemon } from "./daemon.ts";
import type { Victims } from "./faults.ts";
import type { RecordWriter } from "./generator.ts";
import { type Input, jetstreamInput, kafkaInput } from "./inputs.ts";
import { lettersPlace } from "./letters.ts";
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
  /** Undefined where the pipeline has no place for them. */
  readonly readLetters: ReadTexts | undefined;
  readonly readLate: ReadTexts | undefined;
  /** How many records of the input are not done yet, as its broker says. */
  readonly lag: () => Promise<number>;
  /** Begins to watch the checkpoints; undefined where there are none that others can read meanwhile. */
  readonly watch: (() => CheckpointWatch) | undefined;
  /** Where each service wrote its log. */
  readonly logs: ReadonlyMap<string, string>;
}

/** Starts it all; the owner ends it. */
export async function startRig(owner: Owner, options: FaultRunOptions): Promise<Rig> {
  const own = await startOwnServices(owner, neededServices(options), options.brokers ?? 1);
  const input = options.source === "kafka" ? await kafkaInput(own, TASK) : await jetstreamInput(own, TASK, options.pipeline);
  owner.after(() => input.writer[Symbol.asyncDispose]());
  const places: Places = {
    output: await outputOf(options.sink, own),
    late: options.late === undefined ? undefined : await outputOf(options.sink, own),
    letters: options.letters === undefined ? undefined : await lettersPlace(options.letters, own, owner),
  };
  const store = storeOf(options.store ?? "file", own);
  const saved = options.pipeline === "window" && store !== undefined ? await savedPositions(owner, store, own, TASK) : undefined;
  const site = new Site(owner, {
    products: [join(PRODUCTS, productOf(options))],
    settings: { ...SETTINGS, ...own.settings, checkpoint: { interval: "1s", ...(store === undefined ? {} : { store }) } },
    tasks: { [TASK]: { product: productOf(options), instances: 2, config: taskConfig(options, input, places) } },
  });
  return {
    writer: input.writer,
    readInput: input.read,
    readOutput: places.output.read,
    readLetters: places.letters?.read,
    readLate: places.late?.read,
    lag: input.lag,
    joinGroup: input.joinGroup,
    watch: saved && (() => new CheckpointWatch({ committed: input.committed, saved })),
    daemon: new Daemon(site, { main: options.main, patience: options.length + 900_000 }),
    services: own.services,
    cluster:
      input.kafka === undefined || own.brokers.length < 2
        ? undefined
        : { ...input.kafka, address: own.addresses.kafka, brokers: own.brokers },
    proxies: own.proxies,
    logs: new Map([...own.services].map(([name, { logFile }]: [string, Service]) => [name, logFile])),
  };
}

/** Where the task writes. */
interface Places {
  readonly output: Output;
  readonly late: Output | undefined;
  readonly letters: Output | undefined;
}

function neededServices({ source, sink, store = "file", letters = "file" }: FaultRunOptions): ReadonlySet<keyof OwnServices["addresses"]> {
  const named = {
    kafka: "kafka",
    jetstream: "nats",
    redis: "redis",
    sql: "postgres",
    natsKv: "nats",
    file: undefined,
    none: undefined,
  } as const;
  const needed = [source, sink, store, letters].map((name) => named[name]);
  return new Set(needed.filter((name) => name !== undefined));
}

function productOf({ pipeline }: FaultRunOptions): string {
  return pipeline === "relay" ? "fault-relay" : "fault-windows";
}

function taskConfig({ pipeline, disorder, store }: FaultRunOptions, input: Input, { output, late, letters }: Places): object {
  const all = { input: input.config, output: output.config, ...(letters === undefined ? {} : { letters: letters.config }) };
  if (pipeline === "relay") return all;
  const lateness = late === undefined ? {} : { late: late.config };
  return { ...all, ...lateness, disorder: `${disorder}ms`, checkpoints: store === "none" ? "none" : "kept" };
}

const SETTINGS = {
  // Frozen ones are to come back when others have their work, not to be killed as hanging.
  worker: { heartbeat: "20s" },
  restart: { min: "200ms", max: "1s" },
  // Here it is not the task that makes workers die.
  quarantine: { after: 100, min: "1s", max: "2s" },
};

function storeOf(store: NonNullable<FaultRunOptions["store"]>, { proxies }: OwnServices): CheckpointStoreSettings | undefined {
  switch (store) {
    case "redis":
      return { redis: { url: `redis://${proxies.get("redis")?.address}` } };
    case "natsKv":
      return { natsKv: { bucket: `faults-${randomUUID()}` } };
    case "file":
      return { file: { path: "checkpoints" } };
    case "none":
      return undefined;
  }
}
