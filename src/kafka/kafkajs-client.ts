/**
 * The one place where kafkajs is made to connect.
 */
import { createRequire } from "node:module";

import kafkajs, { type Kafka } from "kafkajs";

import type { KafkaConnection } from "../connections.ts";
import type { Logger } from "../contracts.ts";
import { type ClientSettings, kafkajsOptions } from "./client-options.ts";
import { CODECS, compress, decompress, MAX_INFLATED } from "./codecs.ts";

// Node finds no names in its CommonJS.
const { CompressionCodecs, CompressionTypes, logLevel } = kafkajs;

/** A kafkajs client, from which consumers, producers and admins are made. Connects to nothing by itself. */
export function createKafkajs(connection: KafkaConnection, settings: ClientSettings, logger: Logger): Kafka {
  capKafkajsCodecs();
  restRequestQueues();
  keepTopicsOfBadPartitions();
  return new kafkajs.Kafka({ ...kafkajsOptions(connection, settings, logger), logLevel: logLevel.WARN });
}

/** kafkajs's numbers for the codecs. */
export const KAFKAJS_COMPRESSION = {
  none: CompressionTypes.None,
  gzip: CompressionTypes.GZIP,
  snappy: CompressionTypes.Snappy,
  lz4: CompressionTypes.LZ4,
  zstd: CompressionTypes.ZSTD,
} as const;

/** What kafkajs hands to a codec that compresses. */
interface Encoder {
  readonly buffer: Buffer;
}

/** Gives kafkajs, which has only gzip and that without a limit, codecs that inflate under one. They are for the whole process. */
export function capKafkajsCodecs(limit: number = MAX_INFLATED): void {
  for (const codec of CODECS) {
    CompressionCodecs[KAFKAJS_COMPRESSION[codec]] = () => ({
      compress: (encoder: Encoder) => compress(codec, encoder.buffer),
      decompress: (data: Buffer) => Promise.try(decompress, codec, data, limit),
    });
  }
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
export function restRequestQueues(): void {
  if (resting) return;
  resting = true;
  const queue = createRequire(import.meta.url)("kafkajs/src/network/requestQueue/index.js") as { prototype: RequestQueue };
  const schedule = queue.prototype.scheduleCheckPendingRequests;
  queue.prototype.scheduleCheckPendingRequests = function () {
    if (this.pending.length > 0) schedule.call(this);
  };
}

interface MetadataReply {
  readonly topicMetadata: readonly { readonly partitionMetadata: readonly unknown[] }[];
}

interface MetadataReader {
  parse: (reply: MetadataReply) => Promise<MetadataReply>;
}

/** The versions of the metadata request that kafkajs knows. */
const METADATA_VERSIONS = [0, 1, 2, 3, 4, 5, 6];

let keeping = false;

/**
 * Keeps the layout of topics of which a partition has an error: kafkajs throws the whole reply away then, so that one
 * partition without a leader stops all others. Such a partition has a leader of -1. The errors of topics stay errors.
 */
function keepTopicsOfBadPartitions(): void {
  if (keeping) return;
  keeping = true;
  const load = createRequire(import.meta.url);
  for (const version of METADATA_VERSIONS) {
    const reader = load(`kafkajs/src/protocol/requests/metadata/v${version}/response.js`) as MetadataReader;
    const { parse } = reader;
    reader.parse = async (reply) => {
      await parse({ ...reply, topicMetadata: reply.topicMetadata.map((topic) => ({ ...topic, partitionMetadata: [] })) });
      return reply;
    };
  }
}
