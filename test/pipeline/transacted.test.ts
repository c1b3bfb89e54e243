import assert from "node:assert/strict";
import { test } from "node:test";

import { PlanError } from "../../src/errors.ts";
import { from } from "../../src/pipeline/builder.ts";
import { countWindow } from "../../src/pipeline/windows/spec.ts";
import { kafkaSink } from "../../src/sinks/kafka.ts";
import { memorySink } from "../../src/sinks/memory.ts";
import { kafkaSource } from "../../src/sources/kafka.ts";
import { sourceOf } from "./source-of.ts";

const exactly = kafkaSink({ topic: "out", delivery: "exactly-once" });
const input = kafkaSource({ topic: "in" });

test("steps without state between Kafka and Kafka may be exactly once", () => {
  assert.equal(from(input).map(String).to(exactly).sinks[0], exactly);
  assert.equal(exactly.description["delivery"], "exactly-once");
});

test("what would be remembered in another place than the transactions is refused, with the reason", () => {
  const refused = (build: () => unknown, expected: RegExp) =>
    assert.throws(build, (error) => error instanceof PlanError && expected.test(error.message));
  refused(() => from(sourceOf()).to(exactly), /needs a kafka source of the same cluster, and this is a memory source/);
  refused(() => from(input).to([exactly, memorySink()]), /the only sink, and there are 2/);
  refused(() => from(input).batch({ size: 2 }).to(exactly), /"batch" keeps some/);
  refused(() => from(input).window(countWindow(2)).to(exactly), /"window" keeps some/);
});
