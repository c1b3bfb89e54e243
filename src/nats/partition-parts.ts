import type { Clock } from "../clock.ts";
import type { Logger, Partition } from "../contracts.ts";
import type { JetStreamApi } from "./api.ts";
import type { WantedConsumer } from "./consumers.ts";
import type { Amount } from "./demand.ts";
import type { DurableConsumer } from "./durable-consumer.ts";
import type { EventMaker } from "./events.ts";

/** What a partition is made with. */
export interface PartitionParts {
  readonly api: JetStreamApi;
  readonly wanted: WantedConsumer;
  readonly consumer: DurableConsumer;
  /** Limits on what waits here before it is read. */
  readonly limits: Amount;
  readonly events: EventMaker;
  readonly clock: Clock;
  readonly logger: Logger;
  /** After how long a message that failed is delivered again, in milliseconds. */
  readonly retryAfter: number;
  /** Aborts for a planned stop. */
  readonly stop: AbortSignal;
  /** Says why nothing can be read now; undefined when it can again. */
  readonly waiting: (reason: string | undefined) => void;
}

/** A partition that knows how far behind it is. */
export interface JetStreamPartition extends Partition<Uint8Array> {
  /** Messages that wait in the server for the consumer, as of the last message that came. */
  readonly pending: number;
  /** Messages that are here and not acknowledged. */
  readonly held: number;
}
