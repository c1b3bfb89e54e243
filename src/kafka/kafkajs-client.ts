/**
 * The one place where kafkajs is made to connect.
 */
import { createRequire } from "node:module";

import { Kafka, logLevel } from "kafkajs";

import type { KafkaConnection } from "../connections.ts";
import type { Logger } from "../contracts.ts";
import { type ClientSettings, kafkajsOptions } from "./client-options.ts";

/** A kafkajs client, from which consumers, producers and admins are made. Connects to nothing by itself. */
export function createKafkajs(connection: KafkaConnection, settings: ClientSettings, logger: Logger): Kafka {
  restRequestQueues();
  return new Kafka({ ...kafkajsOptions(connection, settings, logger), logLevel: logLevel.WARN });
}

interface RequestQueue {
  pending: readonly unknown[];
  throttledUntil: number;
  scheduleCheckPendingRequests: (this: RequestQueue) => void;
}

let resting = false;

/**
 * Keeps idle connections from waking every millisecond: the queue of each sets a timer for a time that has passed, again
 * and again, and Node warns of it (kafkajs issue 1751, open). It has something to check only when requests wait.
 */
function restRequestQueues(): void {
  if (resting) return;
  resting = true;
  const queue = createRequire(import.meta.url)("kafkajs/src/network/requestQueue/index.js") as { prototype: RequestQueue };
  const schedule = queue.prototype.scheduleCheckPendingRequests;
  queue.prototype.scheduleCheckPendingRequests = function () {
    if (this.pending.length > 0) schedule.call(this);
  };
}
