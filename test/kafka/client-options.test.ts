import assert from "node:assert/strict";
import { test } from "node:test";

import kafkajs from "kafkajs";

import type { KafkaConnection } from "../../src/connections.ts";
import type { Logger } from "../../src/contracts.ts";
import { ConfigError } from "../../src/errors.ts";
import { kafkajsOptions, parseBrokers, platformaticOptions } from "../../src/kafka/client-options.ts";

const plaintext: KafkaConnection = { brokers: ["one:9092"], client: "platformatic", ssl: false, sasl: undefined };

test("broker addresses are host:port, or [address]:port", () => {
  assert.deepEqual(parseBrokers(["localhost:9092", "10.0.0.1:1", "[::1]:65535", " b-1.example.org:9094 "]), [
    { host: "localhost", port: 9092 },
    { host: "10.0.0.1", port: 1 },
    { host: "::1", port: 65_535 },
    { host: "b-1.example.org", port: 9094 },
  ]);
});

test("every address that is none is named, with what is wrong", () => {
  const wrong = ["localhost", "host:", ":9092", "kafka://host:9092", "host:0", "host:70000", "[nonsense]:1", "::1:9092", ""];
  assert.throws(
    () => parseBrokers(["good:1", ...wrong]),
    (error) => {
      assert.ok(error instanceof ConfigError);
      assert.equal(error.faults.length, wrong.length);
      for (const [index, fault] of error.faults.entries()) assert.ok(fault.what.startsWith(JSON.stringify(wrong[index])), fault.what);
      assert.match(error.message, /"kafka:\/\/host:9092" is a URL/);
      assert.match(error.message, /"host:70000" has a port that is not between 1 and 65535/);
      return true;
    },
  );
  assert.throws(() => parseBrokers([]), /names no broker/);
});

test("TLS and SASL reach both clients in their own form", () => {
  const connection: KafkaConnection = {
    ...plaintext,
    ssl: { ca: "CA", cert: "CERT", key: "KEY" },
    sasl: { mechanism: "scram-sha-512", username: "me", password: "secret" },
  };
  const platformatic = platformaticOptions(connection, { clientId: "c" });
  assert.deepEqual(platformatic.tls, { ca: ["CA"], cert: "CERT", key: "KEY" });
  assert.deepEqual(platformatic.sasl, { mechanism: "SCRAM-SHA-512", username: "me", password: "secret" });
  assert.equal(platformatic.tlsServerName, true);
  assert.equal(platformatic.autocreateTopics, false);
  const kafkajs = kafkajsOptions(connection, { clientId: "c", requestTimeout: 7 }, collectingLogger([]));
  assert.deepEqual(kafkajs.ssl, { ca: ["CA"], cert: "CERT", key: "KEY" });
  assert.deepEqual(kafkajs.sasl, { mechanism: "scram-sha-512", username: "me", password: "secret" });
  assert.equal(kafkajs.requestTimeout, 7);
});

test("plaintext sets neither, and an IP address is no server name", () => {
  const plain = platformaticOptions(plaintext, { clientId: "c" });
  assert.equal("tls" in plain || "sasl" in plain, false);
  assert.equal(platformaticOptions({ ...plaintext, brokers: ["127.0.0.1:9092"], ssl: true }, { clientId: "c" }).tlsServerName, false);
});

test("kafkajs is refused an IPv6 address with a way out", () => {
  assert.throws(
    () => kafkajsOptions({ ...plaintext, brokers: ["[::1]:9092"] }, { clientId: "c" }, collectingLogger([])),
    /set kafka.client to platformatic/,
  );
});

test("what kafkajs logs comes as debug lines without payload, stack or password", () => {
  const lines: unknown[] = [];
  const connection: KafkaConnection = { ...plaintext, sasl: { mechanism: "plain", username: "me", password: "hunter2" } };
  const options = kafkajsOptions(connection, { clientId: "c" }, collectingLogger(lines));
  const log = {
    message: "SASL with hunter2 failed",
    broker: "one:9092",
    stack: "at …",
    payload: "hunter2",
    timestamp: "",
    logger: "kafkajs",
  };
  options.logCreator?.(kafkajs.logLevel.WARN)({ namespace: "Connection", level: kafkajs.logLevel.ERROR, label: "ERROR", log });
  assert.deepEqual(lines, [[{ client: "kafkajs Connection", broker: "one:9092" }, "SASL with *** failed"]]);
});

/** Keeps what is logged at debug and fails on anything louder. */
function collectingLogger(lines: unknown[]): Logger {
  const refuse = () => assert.fail("a client's own line must be debug");
  const logger: Logger = {
    debug: (fields, message) => lines.push([fields, message]),
    info: refuse,
    warn: refuse,
    error: refuse,
    child: () => logger,
  };
  return logger;
}
