/**
 * One fetch request and its reply (version 11, the last that kafkajs knows), with the record batches left as bytes: its own
 * reader makes an object of each record, and reports a whole reply as an error when one partition has one.
 * Format: https://kafka.apache.org/protocol#The_Messages_Fetch.
 */
import { createRequire } from "node:module";

import { FetchError, type FetchLimits, ownBytes, type PartitionReply, type PartitionRequest } from "./driver.ts";
import type { KafkajsBroker } from "./kafkajs-cluster.ts";
import type { AbortedTransaction } from "./record-batches.ts";

const READ_COMMITTED = 1;
const NOT_A_REPLICA = -1;

const encodeRequest = createRequire(import.meta.url)("kafkajs/src/protocol/requests/fetch/v11/request.js") as (fetch: {
  readonly replicaId: number;
  readonly maxWaitTime: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly isolationLevel: number;
  readonly topics: readonly {
    readonly topic: string;
    readonly partitions: readonly { readonly partition: number; readonly fetchOffset: string; readonly maxBytes: number }[];
  }[];
}) => unknown;

/** @returns one reply for each partition. @throws when there is no reply, or an error for all */
export async function fetchRecords(
  broker: KafkajsBroker,
  requests: readonly PartitionRequest[],
  { maxWait, maxBytes }: FetchLimits,
  requestTimeout: number,
): Promise<readonly PartitionReply[]> {
  const topics = [...Map.groupBy(requests, ({ topicId }) => topicId)].map(([topic, partitions]) => ({
    topic,
    partitions: partitions.map(({ partition, offset, maxBytes }) => ({ partition, fetchOffset: String(offset), maxBytes })),
  }));
  return await broker.connectionPool.send({
    request: encodeRequest({
      replicaId: NOT_A_REPLICA,
      maxWaitTime: maxWait,
      minBytes: 1,
      maxBytes,
      isolationLevel: READ_COMMITTED,
      topics,
    }),
    response: { decode: readReply, parse: ({ value }) => value },
    requestTimeout: maxWait + requestTimeout,
  });
}

function readReply(bytes: Buffer): { clientSideThrottleTime: number; value: readonly PartitionReply[] } {
  const errorCode = bytes.readInt16BE(4);
  if (errorCode !== 0) throw new FetchError(errorCode);
  const value: PartitionReply[] = [];
  let at = 10;
  const int32 = () => {
    at += 4;
    return bytes.readInt32BE(at - 4);
  };
  for (let topics = int32(); topics > 0; topics--) {
    const end = at + 2 + bytes.readInt16BE(at);
    const topicId = bytes.toString("utf8", at + 2, end);
    at = end;
    for (let partitions = int32(); partitions > 0; partitions--) {
      const { reply, end } = readPartition(bytes, at, topicId);
      value.push(reply);
      at = end;
    }
  }
  return { clientSideThrottleTime: bytes.readInt32BE(0), value };
}

/** Partition, error code, high watermark, last stable offset, log start, aborted transactions, preferred replica, records. */
function readPartition(bytes: Buffer, start: number, topicId: string): { readonly reply: PartitionReply; readonly end: number } {
  const partition = bytes.readInt32BE(start);
  const errorCode = bytes.readInt16BE(start + 4);
  const stableEnd = Number(bytes.readBigInt64BE(start + 14));
  const aborted: AbortedTransaction[] = [];
  let at = start + 34;
  for (let count = bytes.readInt32BE(start + 30); count > 0; count--) {
    aborted.push({ producer: bytes.readBigInt64BE(at), firstOffset: bytes.readBigInt64BE(at + 8) });
    at += 16;
  }
  const length = Math.max(bytes.readInt32BE(at + 4), 0);
  const end = at + 8 + length;
  return { reply: { topicId, partition, errorCode, stableEnd, aborted, records: ownBytes(bytes.subarray(at + 8, end)) }, end };
}
