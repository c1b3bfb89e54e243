import { rmSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";

import type { Certificates } from "./certificates.ts";
import { makeCertificates } from "./certificates.ts";
import { kafkaLibs } from "./install.ts";
import type { KafkaNode } from "./kafka-files.ts";
import { formatStorage, writeProperties } from "./kafka-files.ts";
import { liveBrokers } from "./kafka-probe.ts";
import type { Service } from "./local-process.ts";
import { startLocalProcess } from "./local-process.ts";
import { freePort } from "./ports.ts";
import { newServiceDir } from "./watchdog.ts";

/** What a private Kafka is to be like. */
export interface KafkaOptions {
  /** How many brokers, each also a controller; default 1. With 3, one may be lost. */
  readonly brokers?: number;
  /** Also listen for TLS; default false. A client's certificate is checked when it shows one. */
  readonly tls?: boolean;
  /** Also listen for these users (name → password), who may use PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512. */
  readonly users?: Readonly<Record<string, string>>;
  /** More broker settings, which come before those set here. */
  readonly properties?: Readonly<Record<string, string>>;
  /** Also listen where clients are told to come by this port of 127.0.0.1: that of a proxy before it. For one broker. */
  readonly proxyPort?: number;
  /** The heap of each broker in MiB; default 512. */
  readonly heap?: number;
}

/** A private Kafka. `address` and the listeners are bootstrap addresses: `host:port`, separated by commas. */
export interface KafkaService extends Service {
  /** With TLS, when it was asked for. */
  readonly tls: { readonly address: string; readonly certificates: Certificates } | undefined;
  /** With users, when they were given; `tlsAddress` when TLS was asked for, too. */
  readonly sasl: { readonly address: string; readonly tlsAddress: string | undefined } | undefined;
  /** What the proxy stands before, `host:port`, when there is one. */
  readonly behindProxy: string | undefined;
  /** Each broker by itself, in the order of their node ids, which begin at 1. */
  readonly brokers: readonly Service[];
}

/** Starts a Kafka of the test's own, in KRaft mode, with automatic creation of topics off. */
export async function startKafka(options: KafkaOptions = {}): Promise<KafkaService> {
  const libs = await kafkaLibs();
  const dir = newServiceDir("kafka");
  const certificates = options.tls === true ? await makeCertificates(join(dir, "tls")) : undefined;
  const nodes: KafkaNode[] = [];
  for (let id = 1; id <= (options.brokers ?? 1); id++) nodes.push(await planNode(id, dir, options));
  for (const node of nodes) await mkdir(node.dir, { recursive: true });
  for (const node of nodes) await writeProperties(node, nodes, options, certificates);
  await formatStorage(libs, nodes, options.users);
  const brokers = await startAll(nodes.map((node) => startBroker(libs, node, options)));
  return new Cluster(dir, brokers, nodes, certificates);
}

async function planNode(id: number, dir: string, { tls, users, proxyPort }: KafkaOptions): Promise<KafkaNode> {
  const ports: KafkaNode["ports"] = {
    PLAINTEXT: await freePort(),
    CONTROLLER: await freePort(),
    ...(tls === true ? { SSL: await freePort() } : {}),
    ...(users === undefined ? {} : { SASL_PLAINTEXT: await freePort() }),
    ...(tls === true && users !== undefined ? { SASL_SSL: await freePort() } : {}),
    ...(proxyPort === undefined ? {} : { PROXIED: await freePort() }),
  };
  return { id, dir: join(dir, `broker-${id}`), ports };
}

async function startBroker(libs: string, node: KafkaNode, options: KafkaOptions): Promise<Service> {
  const address = `127.0.0.1:${node.ports.PLAINTEXT}`;
  const heap = options.heap ?? 512;
  const log = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"];
  const jvm = [`-Xmx${heap}m`, `-Xms${Math.min(heap, 256)}m`, "-XX:+UseSerialGC", "-Xshare:auto", ...log];
  return await startLocalProcess({
    name: `Kafka broker ${node.id}`,
    address,
    dir: node.dir,
    command: "java",
    args: [...jvm, "-cp", join(libs, "*"), "kafka.Kafka", join(node.dir, "server.properties")],
    // A quorum needs more than half: the first ones to start must not wait for all.
    ready: async () => (await liveBrokers(address)).includes(node.id),
  });
}

/** All, or none: those that started are ended when another one did not. */
async function startAll(starts: readonly Promise<Service>[]): Promise<Service[]> {
  const results = await Promise.allSettled(starts);
  const services = results.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
  const failed = results.find((result) => result.status === "rejected");
  if (failed === undefined) return services;
  await Promise.all(services.map((service) => service[Symbol.asyncDispose]()));
  throw failed.reason;
}

class Cluster implements KafkaService {
  readonly brokers: readonly Service[];
  readonly #dir: string;
  readonly #nodes: readonly KafkaNode[];
  readonly #certificates: Certificates | undefined;

  constructor(dir: string, brokers: readonly Service[], nodes: readonly KafkaNode[], certificates: Certificates | undefined) {
    this.#dir = dir;
    this.brokers = brokers;
    this.#nodes = nodes;
    this.#certificates = certificates;
  }

  get address(): string {
    return this.#listeners("PLAINTEXT") ?? "";
  }

  get tls(): KafkaService["tls"] {
    const address = this.#listeners("SSL");
    return address === undefined || this.#certificates === undefined ? undefined : { address, certificates: this.#certificates };
  }

  get sasl(): KafkaService["sasl"] {
    const address = this.#listeners("SASL_PLAINTEXT");
    return address === undefined ? undefined : { address, tlsAddress: this.#listeners("SASL_SSL") };
  }

  get behindProxy(): string | undefined {
    return this.#listeners("PROXIED");
  }

  get logFile(): string {
    return this.brokers.map((broker) => broker.logFile).join(", ");
  }

  async kill(): Promise<void> {
    await this.#each((broker) => broker.kill());
  }

  async stop(): Promise<void> {
    await this.#each((broker) => broker.stop());
  }

  async freeze(): Promise<void> {
    await this.#each((broker) => broker.freeze());
  }

  async thaw(): Promise<void> {
    await this.#each((broker) => broker.thaw());
  }

  async restart(): Promise<void> {
    await this.stop();
    await this.#each((broker) => broker.restart());
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#each(async (broker) => await broker[Symbol.asyncDispose]());
    rmSync(this.#dir, { recursive: true, force: true });
  }

  async #each(action: (broker: Service) => Promise<void>): Promise<void> {
    await Promise.all(this.brokers.map(action));
  }

  #listeners(name: keyof KafkaNode["ports"]): string | undefined {
    const ports = this.#nodes.flatMap((node) => node.ports[name] ?? []);
    return ports.length === 0 ? undefined : ports.map((port) => `127.0.0.1:${port}`).join(",");
  }
}
