import assert from "node:assert/strict";
import { test } from "node:test";

import { sink, sinkConfig } from "../../src/sinks/config.ts";
import { namedMemorySink } from "../../src/sinks/memory.ts";

const ONE_OF = ": give exactly one sink: kafka, jetstream, file, sql, redis or memory";

const issues = (config: unknown) => {
  const parsed = sinkConfig.safeParse(config);
  return (parsed.error?.issues ?? []).map(({ path, message }) => `${path.join(".")}: ${message}`);
};

test("each kind of sink by its config", () => {
  const configs = {
    kafka: { topic: "results" },
    jetstream: { subject: "results.x" },
    file: { path: "-" },
    sql: { url: "sqlite:out", table: "results" },
    redis: { list: "results" },
    memory: { name: "results" },
  };
  for (const [kind, config] of Object.entries(configs)) assert.equal(sink(sinkConfig.parse({ [kind]: config })).kind, kind);
});

test("the memory sink of a name is the one of that name", () => {
  assert.equal(sink({ memory: { name: "a" } }), namedMemorySink("a"));
  assert.notEqual(sink({ memory: { name: "b" } }), namedMemorySink("a"));
});

test("what is wrong is told at its place", () => {
  assert.deepEqual(issues({}), [ONE_OF]);
  assert.deepEqual(issues({ file: { path: "a" }, memory: { name: "a" } }), [ONE_OF]);
  assert.deepEqual(issues({ fiel: { path: "a" } }), [': Unrecognized key: "fiel"', ONE_OF]);
  assert.deepEqual(issues({ redis: {} }), ["redis: give exactly one of stream, list, channel or hash"]);
  assert.deepEqual(issues({ sql: { url: "sqlite:a", table: "t", mode: "replace" } }), [
    'sql.mode: Invalid option: expected one of "insert"|"upsert"',
  ]);
  const [ofSql] = issues({ sql: { url: "postgres://me:a/b@db/x", table: "t" } });
  assert.match(ofSql ?? "", /^sql\.url: is no valid URL: in a user name or password, write characters such as/);
  const [ofRedis] = issues({ redis: { url: "redis://:a#b@cache", list: "l" } });
  assert.match(ofRedis ?? "", /^redis\.url: is no valid URL/);
  for (const url of ["postgres://me:a%2Fb@db/x", "postgres:///x?host=/var/run/postgresql", "postgres://me@/x"]) {
    assert.deepEqual(issues({ sql: { url, table: "t" } }), []);
  }
});
