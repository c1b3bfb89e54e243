import assert from "node:assert/strict";
import { createRequire } from "node:module";
import { test } from "node:test";

import { brokerErrorName, brokerTrouble } from "../../src/kafka/broker-errors.ts";
import { kafkaConnection } from "../support/kafka-topics.ts";

test("what a broker answers is found also where kafkajs collects errors", () => {
  const { KafkaJSAggregateError, KafkaJSProtocolError } = createRequire(import.meta.url)("kafkajs/src/errors.js") as Record<
    string,
    new (...parts: unknown[]) => Error
  >;
  const refused = new KafkaJSProtocolError!({ type: "INVALID_REPLICATION_FACTOR", code: 38, message: "too many" });
  const error = new KafkaJSAggregateError!("Topic creation errors", [refused]);
  assert.equal(brokerErrorName(error), "INVALID_REPLICATION_FACTOR");
  assert.equal(brokerTrouble(error, kafkaConnection("a:1", "kafkajs")), "Kafka (a:1) answers INVALID_REPLICATION_FACTOR");
});

test("a session timeout that the brokers do not take is named together with their limits", () => {
  const error = Object.assign(new Error("out of range"), { type: "INVALID_SESSION_TIMEOUT" });
  assert.match(
    brokerTrouble(error, kafkaConnection("a:1", "kafkajs")),
    /^Kafka \(a:1\) answers INVALID_SESSION_TIMEOUT: sessionTimeout .* group\.min\.session\.timeout\.ms and group\.max\.session\.timeout\.ms/,
  );
});
