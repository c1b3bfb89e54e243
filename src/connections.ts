import type { Duration } from "./duration.ts";

/**
 * How to reach the systems outside: the part of the daemon's settings that sources and sinks need, resolved and checked.
 * Each may hold secrets and must not be logged.
 */
export interface Connections {
  readonly kafka: KafkaConnection;
  readonly nats: NatsConnection;
  readonly redis: RedisConnection;
}

export interface KafkaConnection {
  /** `host:port` of at least one broker. */
  readonly brokers: readonly string[];
  readonly client: "platformatic" | "kafkajs";
  /** False for plaintext; true for TLS with the system's certificate authorities. */
  readonly ssl: false | true | TlsFiles;
  readonly sasl: SaslCredentials | undefined;
}

/** PEM texts, already read from their files. */
export interface TlsFiles {
  readonly ca?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

export interface SaslCredentials {
  readonly mechanism: "plain" | "scram-sha-256" | "scram-sha-512";
  readonly username: string;
  readonly password: string;
}

export interface NatsConnection {
  /** `nats://host:port`, one or more. */
  readonly servers: readonly string[];
  /** The text of a `.creds` file. */
  readonly credentials: string | undefined;
}

export interface RedisConnection {
  /** `redis://[user:password@]host:port[/db]` or `rediss://`. */
  readonly url: string;
}

/** Where a group, consumer or file without a position of its own begins. */
export type StartAt = "earliest" | "latest";

/** How long between commits of a position, where a source writes them to a broker. */
export const COMMIT_INTERVAL: Duration = "1s";
