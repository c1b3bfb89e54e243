/**
 * The port for consumption: what both Kafka clients implement, and what the source is written against.
 */
import type { Clock } from "../clock.ts";
import type { KafkaConnection, StartAt } from "../connections.ts";
import type { Logger, Partition, SharedResources } from "../contracts.ts";
import type { ClientSettings } from "./client-options.ts";
import type { KafkaDriver } from "./driver.ts";
import type { NewTopic } from "./producer.ts";
import type { KeyEncoding } from "./record-text.ts";

/** The value of a record as it is in the log; null for a tombstone. */
export type RecordValue = Uint8Array | null;

/** What happens when a position is not in the log any more, or not yet. */
export type OutOfRangePolicy = "fail" | StartAt;

/** What to read, and how. Times in milliseconds. */
export interface ConsumerSettings {
  readonly topics: readonly string[];
  /** The consumer group; undefined to read every partition without a group, committing nothing. */
  readonly group: string | undefined;
  /** What missing topics are made with; undefined: a missing topic is an error. */
  readonly create: NewTopic | undefined;
  /** Where a partition begins that has no committed position. */
  readonly from: StartAt;
  readonly onOutOfRange: OutOfRangePolicy;
  readonly keyEncoding: KeyEncoding;
  /** How many bytes of records wait in memory for each partition; one record batch more when it alone is larger. */
  readonly maxWaiting: number;
  /** A member that the broker has not heard of for that long is expelled. */
  readonly sessionTimeout: number;
  /** How long a rebalance waits for the work in flight of its members. */
  readonly rebalanceTimeout: number;
  readonly heartbeatInterval: number;
}

/** What a consumer gets from whoever opens it. */
export interface ConsumerContext {
  readonly connection: KafkaConnection;
  readonly shared: SharedResources;
  /** Shown in the broker's logs, metrics and quotas. */
  readonly clientId: string;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Aborts when work in flight is to be given up. */
  readonly signal: AbortSignal;
  /** Says why nothing can be read now; undefined when it can again. */
  waiting(reason: string | undefined): void;
}

/**
 * A member of a consumer group, with the partitions that it was given.
 *
 * Before every rejoin, and when it stops, it ends the `read` of its partitions and waits until each was disposed of, at
 * most for the rebalance timeout: what was read is then written and committed, and the next owner repeats nothing. It
 * never commits a partition that it does not own. A partition that was lost without that (an expired session, a drain
 * that took too long) has its `signal` aborted with OwnershipLostError.
 */
export interface KafkaConsumer extends AsyncDisposable {
  /**
   * Yields partitions as they are assigned, once and again. Called once. Outages are waited out inside.
   * @throws {NotReadyError} when a topic does not exist (any more)
   */
  partitions(stop: AbortSignal): AsyncIterable<Partition<RecordValue>>;
  /** Events of its partitions that are in the log but not committed; undefined before the first answer. */
  lag(): number | undefined;
}

const SHORTEST_REQUEST_TIMEOUT = 10_000;

/** A consumer of the connection's client. It connects when its partitions are asked for. */
export async function createConsumer(settings: ConsumerSettings, context: ConsumerContext): Promise<KafkaConsumer> {
  // A coordinator that does not answer within the session need not be waited for any longer.
  const requestTimeout = Math.max(settings.sessionTimeout, SHORTEST_REQUEST_TIMEOUT);
  const driver = await createDriver(context.connection, { clientId: context.clientId, requestTimeout }, context);
  const { GroupConsumer } = await import("./group-consumer.ts");
  return new GroupConsumer(settings, context, driver);
}

/** A driver of the connection's client. */
export async function createDriver(
  connection: KafkaConnection,
  settings: ClientSettings,
  { logger, shared }: Pick<ConsumerContext, "logger" | "shared">,
): Promise<KafkaDriver> {
  // Only the client in use is loaded.
  if (connection.client === "kafkajs") {
    const { KafkajsDriver } = await import("./kafkajs-driver.ts");
    return new KafkajsDriver(connection, settings, logger);
  }
  const { PlatformaticDriver } = await import("./platformatic-driver.ts");
  const { leaseHeartbeats } = await import("./heartbeats.ts");
  return new PlatformaticDriver(connection, settings, await leaseHeartbeats(connection, shared));
}
