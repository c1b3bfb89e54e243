/**
 * Every setting of the daemon: its type, default, limits and description, in convict's form. The environment variable of
 * `kafka.brokers` is MILLRACE_KAFKA_BROKERS, that of `worker.rssLimit` MILLRACE_WORKER_RSS_LIMIT, and so on.
 */
import { availableParallelism } from "node:os";

import { DEFAULT_MODEL_SETTINGS } from "../model-stats.ts";
import type { Leaf } from "./formats.ts";

/** A map of settings. No setting's name holds a dot. */
export interface Section {
  readonly [name: string]: Leaf | Section;
}

export const schema: Section = {
  products: {
    format: "folders",
    default: ["products"],
    min: 1,
    doc: "Folders of products: each folder in one of them that has an index.ts is a product.",
  },
  tasks: {
    format: "task-stores",
    default: [{ files: "config/tasks" }],
    doc: "Where tasks are kept; several at once: {files: FOLDER}, {redis: {url, key, every}}, {sql: {url, query, every}}. A folder alone stands for {files: FOLDER}.",
  },
  workers: {
    format: "whole",
    default: availableParallelism(),
    min: 1,
    max: 1024,
    doc: "Worker processes. Default: as many as the machine runs at once.",
  },
  worker: {
    heartbeat: {
      format: "duration",
      default: "10s",
      min: 1000,
      doc: "A worker whose event loop gave no sign of life for so long is replaced.",
    },
    startTimeout: { format: "duration", default: "30s", min: 1000, doc: "A worker that is not ready so long after its start is replaced." },
    rssLimit: {
      format: "size",
      default: "2GiB",
      nullable: true,
      min: 64 * 1024 ** 2,
      doc: "A worker whose resident memory passes this is replaced; null for no limit.",
    },
  },
  models: {
    maxThreads: {
      format: "whole",
      default: DEFAULT_MODEL_SETTINGS.maxThreads,
      min: 1,
      max: 1024,
      doc: "The most threads for models that live at a time in a worker process, over all models.",
    },
    parallelWorkers: {
      format: "whole",
      default: DEFAULT_MODEL_SETTINGS.parallelWorkers,
      min: 0,
      max: 1024,
      doc: "Threads or processes of a model in each worker where the product does not say; 0: all models run in the worker itself.",
    },
  },
  restart: {
    min: {
      format: "duration",
      default: "1s",
      min: 10,
      doc: "The wait before a worker or task that failed is started again, at first; it doubles.",
    },
    max: { format: "duration", default: "1m", min: 10, doc: "The longest wait before a start." },
    resetAfter: { format: "duration", default: "1m", min: 10, doc: "What ran so long without failing begins at restart.min again." },
  },
  quarantine: {
    after: {
      format: "whole",
      default: 3,
      min: 1,
      max: 100,
      doc: "So many times may a task, alone in a worker, make it die; then the task is quarantined.",
    },
    min: { format: "duration", default: "1m", min: 10, doc: "The first time in quarantine; it doubles." },
    max: { format: "duration", default: "1h", min: 10, doc: "The longest time in quarantine." },
  },
  kafka: {
    brokers: { format: "addresses", default: ["127.0.0.1:9092"], min: 1, doc: "Kafka brokers to begin with, as host:port." },
    client: {
      format: "choice",
      choices: ["platformatic", "kafkajs"],
      default: "platformatic",
      doc: "The Kafka client: platformatic (@platformatic/kafka) or kafkajs.",
    },
    ssl: {
      enabled: {
        format: "flag",
        default: null,
        nullable: true,
        doc: "TLS to Kafka. Default: when one of the files below is given. `kafka.ssl: true` is short for it.",
      },
      ca: { format: "file", default: null, nullable: true, doc: "PEM file of the authority that signed the brokers' certificates." },
      cert: { format: "file", default: null, nullable: true, doc: "PEM file of the client's certificate." },
      key: { format: "file", default: null, nullable: true, doc: "PEM file of the client's private key." },
    },
    sasl: {
      mechanism: {
        format: "choice",
        choices: ["plain", "scram-sha-256", "scram-sha-512"],
        default: null,
        nullable: true,
        doc: "How to log in to Kafka. PLAIN sends the password: use it over TLS only.",
      },
      username: { format: "text", default: null, nullable: true, doc: "The user at Kafka." },
      password: { format: "text", default: null, nullable: true, sensitive: true, doc: "The user's password at Kafka." },
    },
  },
  nats: {
    servers: {
      format: "urls",
      schemes: ["nats", "tls"],
      default: ["nats://127.0.0.1:4222"],
      min: 1,
      doc: "NATS servers to begin with.",
    },
    credentials: { format: "file", default: null, nullable: true, doc: "A .creds file (JWT and seed) to log in to NATS with." },
  },
  redis: {
    url: { format: "url", schemes: ["redis", "rediss"], default: "redis://127.0.0.1:6379", doc: "The Redis server." },
  },
  admin: {
    host: { format: "host", default: "127.0.0.1", doc: "Where the admin server listens. It has no login: keep it off public networks." },
    port: { format: "whole", default: 7420, min: 0, max: 65_535, doc: "The admin server's port; 0 for any free one." },
  },
  checkpoint: {
    interval: { format: "duration", default: "10s", min: 100, doc: "How often the state of a pipeline is saved." },
    store: {
      format: "checkpoint-store",
      default: { file: { path: "checkpoints" } },
      doc: "Where state is saved: {redis: {url}} (default redis.url), {natsKv: {bucket}}, or {file: {path}} for one supervisor. A folder alone stands for {file: {path}}.",
    },
  },
  shutdown: {
    timeout: { format: "duration", default: "20s", min: 0, doc: "How long a drain may take; then the process ends with exit code 124." },
  },
  log: {
    level: {
      format: "choice",
      choices: ["trace", "debug", "info", "warn", "error", "fatal", "silent"],
      default: "info",
      doc: "The least important lines that are logged.",
    },
    format: {
      format: "choice",
      choices: ["auto", "json", "pretty"],
      default: "auto",
      doc: "auto: readable lines in a terminal, else JSON lines.",
    },
  },
  tracing: {
    endpoint: {
      format: "url",
      schemes: ["http", "https"],
      default: null,
      nullable: true,
      standardVariable: "OTEL_EXPORTER_OTLP_ENDPOINT",
      doc: "Where spans of model calls are sent as OTLP over HTTP, such as http://127.0.0.1:4318. Default: tracing is off.",
    },
    sample: { format: "share", default: 1, min: 0, max: 1, doc: "The share of model calls of which spans are sent, from 0 to 1." },
  },
};

/** Sections that a plain value stands for one setting of: `kafka.ssl: true` is `kafka.ssl.enabled: true`. */
export const shorthands: ReadonlyMap<string, string> = new Map([["kafka.ssl", "kafka.ssl.enabled"]]);

/** Every setting by its path, in the schema's order. */
export const leaves: ReadonlyMap<string, Leaf> = new Map(leavesOf(schema, ""));

/** Whether a setting's value may be or hold a password, so that it can also be given as a file. */
export function mayHoldSecret(leaf: Leaf): boolean {
  return leaf.sensitive === true || leaf.format === "url" || leaf.format === "urls";
}

export function isLeaf(node: Leaf | Section): node is Leaf {
  return typeof (node as Leaf).doc === "string";
}

function leavesOf(section: Section, prefix: string): [string, Leaf][] {
  return Object.entries(section).flatMap(([name, node]): [string, Leaf][] =>
    isLeaf(node) ? [[prefix + name, node]] : leavesOf(node, `${prefix}${name}.`),
  );
}

/** `kafka.brokers` → `MILLRACE_KAFKA_BROKERS`. */
export function environmentName(path: string): string {
  return `MILLRACE_${path
    .replaceAll(/([a-z])([A-Z])/g, "$1_$2")
    .replaceAll(".", "_")
    .toUpperCase()}`;
}
