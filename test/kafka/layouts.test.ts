import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

import { metadataV12, Reader, Writer } from "@platformatic/kafka";

import { createKafkajs } from "../../src/kafka/kafkajs-client.ts";
import { PlatformaticLayouts } from "../../src/kafka/platformatic-layouts.ts";
import { kafkaConnection, silent } from "../support/kafka-topics.ts";

const LEADER_NOT_AVAILABLE = 5;
const TOPIC_AUTHORIZATION_FAILED = 29;
const ID = "00000000-0000-0000-0000-000000000001";

/** A metadata reply as it comes from a broker: node 1, and a topic whose second partition has no leader. */
function reply(topicError = 0): Buffer {
  const partitions = [
    [0, 0, 1],
    [LEADER_NOT_AVAILABLE, 1, -1],
  ] as const;
  return Writer.create()
    .appendInt32(0)
    .appendArray([1], (writer, node) => writer.appendInt32(node).appendString("host").appendInt32(9092).appendString(null))
    .appendString("cluster")
    .appendInt32(1)
    .appendArray(["t"], (topic, name) => {
      topic.appendInt16(topicError).appendString(name).appendUUID(ID).appendBoolean(false);
      topic.appendArray(topicError === 0 ? [...partitions] : [], (writer, [error, partition, leader]) => {
        writer.appendInt16(error).appendInt32(partition).appendInt32(leader).appendInt32(0);
        for (const nodes of [[1], [1], []]) writer.appendArray(nodes, (list, node) => list.appendInt32(node), true, false);
      });
      topic.appendInt32(0);
    })
    .appendTaggedFields().buffer;
}

function layoutsOf(bytes: Buffer): PlatformaticLayouts {
  const metadata = () => Promise.try(() => metadataV12.parseResponse(1, 3, 12, Reader.from(bytes)) as never);
  return new PlatformaticLayouts({ metadata });
}

test("@platformatic/kafka: a partition without a leader takes no other partition of its topic away", async () => {
  const layouts = layoutsOf(reply());
  assert.deepEqual(await layouts.ask("t"), { id: ID, leaders: [1, -1] });
  assert.equal(layouts.brokers.get(1)?.port, 9092);
});

test("@platformatic/kafka: an error of the topic itself stays one", async () => {
  await assert.rejects(layoutsOf(reply(TOPIC_AUTHORIZATION_FAILED)).ask("t"), /error while executing API/);
});

test("kafkajs: a partition without a leader takes no other partition of its topic away", async () => {
  createKafkajs(kafkaConnection("127.0.0.1:1", "kafkajs"), { clientId: "test" }, silent);
  const load = createRequire(import.meta.resolve("kafkajs"));
  for (const version of [0, 1, 2, 3, 4, 5, 6]) {
    const { parse } = load(`./src/protocol/requests/metadata/v${version}/response.js`) as { parse: (reply: unknown) => Promise<unknown> };
    const topic = (topicErrorCode: number) => ({
      topicMetadata: [
        {
          topicErrorCode,
          partitionMetadata: [
            { partitionErrorCode: 0, partitionId: 0, leader: 1 },
            { partitionErrorCode: LEADER_NOT_AVAILABLE, partitionId: 1, leader: -1 },
          ],
        },
      ],
    });
    assert.deepEqual(await parse(topic(0)), topic(0));
    await assert.rejects(parse(topic(TOPIC_AUTHORIZATION_FAILED)), { type: "TOPIC_AUTHORIZATION_FAILED" });
  }
});
