/** What a broker reads when it starts: its settings, and a folder that was formatted for it. */
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, cp, mkdir, mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import type { Certificates } from "./certificates.ts";
import type { KafkaOptions } from "./kafka.ts";

const run = promisify(execFile);

/** One broker: its node id, its folder, and a port of 127.0.0.1 for each listener. */
export interface KafkaNode {
  readonly id: number;
  readonly dir: string;
  readonly ports: Readonly<Record<"PLAINTEXT" | "CONTROLLER", number>> &
    Readonly<Partial<Record<"SSL" | "SASL_PLAINTEXT" | "SASL_SSL" | "PROXIED", number>>>;
}

type Properties = Record<string, string>;

/** Writes `server.properties` into the folder of the node. */
export async function writeProperties(
  node: KafkaNode,
  nodes: readonly KafkaNode[],
  options: KafkaOptions,
  certificates: Certificates | undefined,
): Promise<void> {
  const properties = {
    ...brokerProperties(node, nodes, options),
    ...(certificates === undefined ? {} : await tlsProperties(node.dir, certificates)),
    ...(options.users === undefined ? {} : saslProperties(options.users)),
    ...options.properties,
  };
  await writeFile(join(node.dir, "server.properties"), toText(properties));
}

function brokerProperties(node: KafkaNode, nodes: readonly KafkaNode[], { proxyPort }: KafkaOptions): Properties {
  const told = { ...node.ports, ...(proxyPort === undefined ? {} : { PROXIED: proxyPort }) };
  const advertised = Object.entries(told).filter(([name]) => name !== "CONTROLLER");
  const listeners = Object.entries(node.ports).map(([name, port]) => `${name}://127.0.0.1:${port}`);
  const copies = String(Math.min(nodes.length, 3));
  const mostCopies = String(Math.max(1, Math.min(nodes.length, 3) - 1));
  return {
    "process.roles": "broker,controller",
    "node.id": String(node.id),
    "controller.quorum.voters": nodes.map(({ id, ports }) => `${id}@127.0.0.1:${ports.CONTROLLER}`).join(","),
    listeners: listeners.join(","),
    "advertised.listeners": advertised.map(([name, port]) => `${name}://127.0.0.1:${port}`).join(","),
    "controller.listener.names": "CONTROLLER",
    "inter.broker.listener.name": "PLAINTEXT",
    "listener.security.protocol.map":
      "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,PROXIED:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL",
    "log.dirs": dataDir(node),
    "auto.create.topics.enable": "false",
    "offsets.topic.num.partitions": "4",
    "offsets.topic.replication.factor": copies,
    "transaction.state.log.num.partitions": "4",
    "transaction.state.log.replication.factor": copies,
    "transaction.state.log.min.isr": mostCopies,
    "share.coordinator.state.topic.replication.factor": copies,
    "share.coordinator.state.topic.min.isr": mostCopies,
    "default.replication.factor": copies,
    "min.insync.replicas": mostCopies,
    "group.initial.rebalance.delay.ms": "0",
    "log.retention.ms": "-1",
    // A broker that was killed may register again only after its session: 9 s by default.
    "broker.session.timeout.ms": "3000",
    "broker.heartbeat.interval.ms": "500",
    "log.cleaner.dedupe.buffer.size": "8388608",
  };
}

async function tlsProperties(dir: string, { files }: Certificates): Promise<Properties> {
  const keystore = join(dir, "keystore.pem");
  const parts = await Promise.all([readFile(files.serverKey, "utf8"), readFile(files.serverCert, "utf8")]);
  await writeFile(keystore, parts.join(""));
  await copyFile(files.ca, join(dir, "truststore.pem"));
  return {
    "ssl.keystore.type": "PEM",
    "ssl.keystore.location": keystore,
    "ssl.truststore.type": "PEM",
    "ssl.truststore.location": join(dir, "truststore.pem"),
    "ssl.client.auth": "requested",
  };
}

function saslProperties(users: Readonly<Record<string, string>>): Properties {
  const plain = Object.entries(users).map(([name, password]) => ` user_${name}="${password}"`);
  const properties: Properties = { "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512" };
  for (const listener of ["sasl_plaintext", "sasl_ssl"]) {
    const prefix = `listener.name.${listener}`;
    const scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;";
    properties[`${prefix}.plain.sasl.jaas.config`] = `org.apache.kafka.common.security.plain.PlainLoginModule required${plain.join("")};`;
    properties[`${prefix}.scram-sha-256.sasl.jaas.config`] = scram;
    properties[`${prefix}.scram-sha-512.sasl.jaas.config`] = scram;
  }
  return properties;
}

/**
 * Formats the nodes' data folders. Kafka's own tool takes as long as a broker to start, so it runs once: a folder without users
 * is kept beside the jars, and each node gets a copy under ids of its own.
 */
export async function formatStorage(libs: string, nodes: readonly KafkaNode[], users: KafkaOptions["users"]): Promise<void> {
  const [first] = nodes;
  if (first === undefined) throw new RangeError("a Kafka needs at least one broker");
  const kept = join(libs, "formatted");
  const template = users === undefined ? kept : join(first.dir, "formatted");
  if (!existsSync(template)) await format(libs, first, template, users ?? {});
  const clusterId = newId();
  for (const node of nodes) {
    await cp(template, dataDir(node), { recursive: true });
    const meta = { version: "1", "cluster.id": clusterId, "node.id": String(node.id), "directory.id": newId() };
    await writeFile(join(dataDir(node), "meta.properties"), toText(meta));
  }
}

async function format(libs: string, node: KafkaNode, target: string, users: Readonly<Record<string, string>>): Promise<void> {
  const work = await mkdtemp(join(node.dir, "format-"));
  const config = join(work, "server.properties");
  const original = await readFile(join(node.dir, "server.properties"), "utf8");
  await writeFile(config, original.replace(/^log\.dirs=.*$/m, `log.dirs=${join(work, "data")}`));
  const scram = Object.entries(users).flatMap(([name, password]) =>
    ["SCRAM-SHA-256", "SCRAM-SHA-512"].flatMap((mechanism) => ["--add-scram", `${mechanism}=[name=${name},password=${password}]`]),
  );
  const tool = ["kafka.tools.StorageTool", "format", "--cluster-id", newId(), "--config", config, ...scram];
  await run("java", ["-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", join(libs, "*"), ...tool]);
  await mkdir(join(target, ".."), { recursive: true });
  // The cache may be on another file system, and another process may have been first.
  const beside = `${target}-${newId()}`;
  await cp(join(work, "data"), beside, { recursive: true });
  await rename(beside, target).catch(async (error: unknown) => {
    await rm(beside, { recursive: true, force: true });
    if (!existsSync(target)) throw error;
  });
  await rm(work, { recursive: true, force: true });
}

function dataDir(node: KafkaNode): string {
  return join(node.dir, "data");
}

/** An id as Kafka writes them: 16 bytes in base64url, and none that begins with a dash, which its tools take for an option. */
function newId(): string {
  return `M${randomBytes(16).toString("base64url").slice(1)}`;
}

function toText(properties: Readonly<Properties>): string {
  return Object.entries(properties)
    .map(([name, value]) => `${name}=${value.replaceAll("\\", "\\\\")}\n`)
    .join("");
}
