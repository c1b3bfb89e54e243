/**
 * One fetch request and its reply (version 13: Kafka 3.1 and later), with the record batches left as bytes. The library's
 * own reader makes an object of each record, loses records of other partitions when one can't be decompressed, and reports
 * a whole reply as an error when one partition has one.
 * Format: https://kafka.apache.org/protocol#The_Messages_Fetch.
 */
import { type Connection, type Reader, Writer } from "@platformatic/kafka";

import { FetchError, type FetchLimits, ownBytes, type PartitionReply, type PartitionRequest } from "./driver.ts";

const FETCH = 1;
const VERSION = 13;
const READ_COMMITTED = 1;
const NOT_A_REPLICA = -1;

/** @returns one reply for each partition that has something to tell. @throws when there is no reply, or an error for all */
export function fetchRecords(
  connection: Connection,
  requests: readonly PartitionRequest[],
  limits: FetchLimits,
): Promise<readonly PartitionReply[]> {
  return new Promise((resolve, reject) => {
    connection.send<readonly PartitionReply[]>(
      FETCH,
      VERSION,
      () => fetchRequest(requests, limits.maxWait, limits.maxBytes),
      (_correlation, _key, _version, reader) => readReply(reader),
      true,
      true,
      (error, replies) => {
        if (error) reject(error);
        else resolve(replies ?? []);
      },
    );
  });
}

/** A full request, outside of a fetch session: the broker then need not remember what the last one asked. */
function fetchRequest(requests: readonly PartitionRequest[], maxWait: number, maxBytes: number): Writer {
  const topics = Map.groupBy(requests, ({ topicId }) => topicId);
  return Writer.create()
    .appendInt32(NOT_A_REPLICA)
    .appendInt32(maxWait)
    .appendInt32(1)
    .appendInt32(maxBytes)
    .appendInt8(READ_COMMITTED)
    .appendInt32(0)
    .appendInt32(-1)
    .appendArray([...topics], (topic, [topicId, partitions]) => {
      topic.appendUUID(topicId).appendArray(partitions, (writer, { partition, offset, maxBytes }) => {
        writer.appendInt32(partition).appendInt32(-1).appendInt64(BigInt(offset)).appendInt32(-1).appendInt64(-1n).appendInt32(maxBytes);
      });
    })
    .appendArray([], () => {})
    .appendString("")
    .appendTaggedFields();
}

function readReply(reader: Reader): readonly PartitionReply[] {
  reader.skip(4);
  const errorCode = reader.readInt16();
  if (errorCode !== 0) throw new FetchError(errorCode);
  reader.skip(4);
  const replies: PartitionReply[] = [];
  reader.readArray((topic) => {
    const topicId = topic.readUUID();
    topic.readArray((partition) => {
      replies.push(readPartition(partition, topicId));
    });
  });
  return replies;
}

function readPartition(reader: Reader, topicId: string): PartitionReply {
  const partition = reader.readInt32();
  const errorCode = reader.readInt16();
  reader.skip(8);
  const stableEnd = Number(reader.readInt64());
  reader.skip(8);
  const aborted = reader.readNullableArray((entry) => ({ producer: entry.readInt64(), firstOffset: entry.readInt64() }));
  reader.skip(4);
  const length = Math.max(reader.readUnsignedVarInt() - 1, 0);
  const records = ownBytes(reader.buffer.slice(reader.position, reader.position + length));
  reader.skip(length);
  return { topicId, partition, errorCode, stableEnd, aborted: aborted ?? [], records };
}
