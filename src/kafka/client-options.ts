/**
 * The options that both Kafka clients make their connections with. Imports neither client.
 */
import { isIP } from "node:net";

import type { BaseOptions } from "@platformatic/kafka";
import type { KafkaConfig } from "kafkajs";

import type { KafkaConnection, SaslCredentials, TlsFiles } from "../connections.ts";
import type { Logger } from "../contracts.ts";
import { ConfigError, type Fault } from "../errors.ts";

/** How long a connection may take, TLS and SASL not counted, in milliseconds. */
export const CONNECT_TIMEOUT = 5000;

/** How long a broker may take to answer a request, in milliseconds. Long polls add their own wait. */
export const REQUEST_TIMEOUT = 30_000;

export interface BrokerAddress {
  readonly host: string;
  readonly port: number;
}

/** What names a client to the broker and says how patient it is. */
export interface ClientSettings {
  /** Shown in the broker's logs, metrics and quotas. No white space. */
  readonly clientId: string;
  /** Milliseconds; {@link REQUEST_TIMEOUT} if not given. */
  readonly requestTimeout?: number;
  /** How often kafkajs tries again by itself to reach a broker, with a back-off of its own; 5 if not given. */
  readonly kafkajsRetries?: number;
}

/**
 * Reads broker addresses: `host:port`, or `[address]:port` for IPv6.
 * @throws {ConfigError} naming every address that is none
 */
export function parseBrokers(brokers: readonly string[]): readonly BrokerAddress[] {
  const faults: Fault[] = [];
  const addresses: BrokerAddress[] = [];
  if (brokers.length === 0) faults.push({ where: "kafka.brokers", what: 'names no broker; give at least one as "host:port"' });
  for (const broker of brokers) {
    const address = parseBroker(broker);
    if (typeof address === "string") faults.push({ where: "kafka.brokers", what: `${JSON.stringify(broker)} ${address}` });
    else addresses.push(address);
  }
  if (faults.length > 0) throw new ConfigError(faults);
  return addresses;
}

/** Names the brokers of a connection in messages: `host:port, host:port`. */
export function brokersOf(connection: KafkaConnection): string {
  return connection.brokers.join(", ");
}

/** What every client of @platformatic/kafka is made with: connection, TLS and SASL. It never creates topics and retries little: whoever uses it waits outages out. */
export function platformaticOptions(connection: KafkaConnection, settings: ClientSettings): BaseOptions & { requestTimeout: number } {
  const brokers = parseBrokers(connection.brokers);
  const tls = tlsOptions(connection.ssl);
  return {
    clientId: settings.clientId,
    bootstrapBrokers: brokers.map(({ host, port }) => ({ host, port })),
    connectTimeout: CONNECT_TIMEOUT,
    requestTimeout: settings.requestTimeout ?? REQUEST_TIMEOUT,
    retries: 1,
    retryDelay: 100,
    autocreateTopics: false,
    // A server name must not be an IP address (RFC 6066, section 3).
    ...(tls === undefined ? {} : { tls, tlsServerName: brokers.some(({ host }) => isIP(host) === 0) }),
    ...(connection.sasl === undefined ? {} : { sasl: platformaticSasl(connection.sasl) }),
  };
}

/**
 * What a client of kafkajs is made with: connection, TLS and SASL. Its log lines become `debug` lines of `logger`, because
 * whoever uses the client reports what matters.
 */
export function kafkajsOptions(connection: KafkaConnection, settings: ClientSettings, logger: Logger): KafkaConfig {
  const tls = tlsOptions(connection.ssl);
  return {
    clientId: settings.clientId,
    brokers: parseBrokers(connection.brokers).map(kafkajsBroker),
    connectionTimeout: CONNECT_TIMEOUT,
    authenticationTimeout: CONNECT_TIMEOUT * 2,
    requestTimeout: settings.requestTimeout ?? REQUEST_TIMEOUT,
    enforceRequestTimeout: true,
    retry: { retries: settings.kafkajsRetries ?? 5 },
    logCreator: () => logEntryWriter(logger, connection.sasl?.password),
    ...(tls === undefined ? {} : { ssl: tls }),
    ...(connection.sasl === undefined ? {} : { sasl: kafkajsSasl(connection.sasl) }),
  };
}

/** @returns why it is none, as the end of a sentence */
function parseBroker(broker: string): BrokerAddress | string {
  const match = /^(?:\[([^\]]+)\]|([^:[\]/\s]+)):(\d+)$/.exec(broker.trim());
  const host = match?.[1] ?? match?.[2];
  if (host === undefined) {
    if (broker.includes("://")) return 'is a URL; give "host:port" without a scheme';
    return 'is no address; give "host:port", for IPv6 "[address]:port"';
  }
  if (match?.[1] !== undefined && isIP(host) !== 6) return "has no IPv6 address between its brackets";
  const port = Number(match?.[3]);
  if (port < 1 || port > 65_535) return "has a port that is not between 1 and 65535";
  return { host, port };
}

/** kafkajs cuts an address at its first colon. */
function kafkajsBroker({ host, port }: BrokerAddress): string {
  if (isIP(host) !== 6) return `${host}:${port}`;
  const what = `"[${host}]:${port}" is an IPv6 address, which kafkajs can't reach; give a host name, or set kafka.client to platformatic`;
  throw new ConfigError([{ where: "kafka.brokers", what }]);
}

interface TlsOptions {
  ca?: string[];
  cert?: string;
  key?: string;
}

function tlsOptions(ssl: false | true | TlsFiles): TlsOptions | undefined {
  if (ssl === false) return undefined;
  if (ssl === true) return {};
  return {
    ...(ssl.ca === undefined ? {} : { ca: [ssl.ca] }),
    ...(ssl.cert === undefined ? {} : { cert: ssl.cert }),
    ...(ssl.key === undefined ? {} : { key: ssl.key }),
  };
}

const PLATFORMATIC_MECHANISMS = { plain: "PLAIN", "scram-sha-256": "SCRAM-SHA-256", "scram-sha-512": "SCRAM-SHA-512" } as const;

function platformaticSasl({ mechanism, username, password }: SaslCredentials): NonNullable<BaseOptions["sasl"]> {
  return { mechanism: PLATFORMATIC_MECHANISMS[mechanism], username, password };
}

function kafkajsSasl({ mechanism, username, password }: SaslCredentials): NonNullable<KafkaConfig["sasl"]> {
  // kafkajs types each mechanism together with its options, so a union of names fits none of them.
  if (mechanism === "plain") return { mechanism, username, password };
  if (mechanism === "scram-sha-256") return { mechanism, username, password };
  return { mechanism, username, password };
}

interface LogEntry {
  readonly namespace: string;
  readonly log: { readonly message: string; readonly [extra: string]: unknown };
}

/** Passes on the message and a few plain fields: others may hold payloads, stacks or credentials. */
function logEntryWriter(logger: Logger, secret: string | undefined): (entry: LogEntry) => void {
  const clean = (text: string) => (secret === undefined || secret === "" ? text : text.replaceAll(secret, "***"));
  return ({ namespace, log }) => {
    const fields: Record<string, string> = { client: `kafkajs ${namespace}` };
    for (const name of ["broker", "error", "groupId"]) {
      const value = log[name];
      if (typeof value === "string") fields[name] = clean(value);
    }
    logger.debug(fields, clean(log.message));
  };
}
