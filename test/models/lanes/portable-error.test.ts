import assert from "node:assert/strict";
import { test } from "node:test";

import { ConfigError, DataError, InfrastructureError, MillraceError, ModelError, NotReadyError } from "../../../src/errors.ts";
import { portable, revived } from "../../../src/models/lanes/portable-error.ts";
import { classesOf, classOf } from "../../../src/pipeline/error-class.ts";
import { RetryableError } from "../../../src/pipeline/retry.ts";

function there(thrown: unknown): unknown {
  return revived(structuredClone(portable(thrown)));
}

class OutOfStockError extends Error {
  override readonly name = "OutOfStock";
}
class OutOfScrewsError extends OutOfStockError {}

const place = { origin: { system: "memory", name: "n", partition: 0 }, offset: 7 };

for (const error of [
  new TypeError("a"),
  new InfrastructureError("b"),
  new NotReadyError("c"),
  new RetryableError("d", { retryAfter: 5 }),
  new ConfigError([{ where: "here", what: "wrong" }]),
  new ModelError({ name: "m", version: "1" }, new RangeError("too far")),
  new DataError("step", place, new OutOfScrewsError("none left")),
  new OutOfScrewsError("none left", { cause: "just text" }),
  Object.assign(new Error("e"), { code: "ECONNRESET", errno: -104 }),
]) {
  test(`a ${error.constructor.name} is the same on the other side`, () => {
    const given = there(error) as Error;
    assert.ok(given instanceof Error);
    assert.deepEqual(classesOf(given), classesOf(error));
    assert.deepEqual(
      [given.name, given.message, given.stack, classOf(given), Object.fromEntries(Object.entries(given))],
      [error.name, error.message, error.stack, classOf(error), Object.fromEntries(Object.entries(error))],
    );
    for (const type of [TypeError, MillraceError, InfrastructureError, DataError, ConfigError, ModelError]) {
      assert.equal(given instanceof type, error instanceof type, type.name);
    }
    if (error.cause instanceof Error) assert.equal((given.cause as Error).message, error.cause.message);
    else assert.deepEqual(given.cause, error.cause);
  });
}

test("what is no error comes as it is, or as text", () => {
  assert.equal(there("text"), "text");
  assert.equal(there(undefined), undefined);
  assert.deepEqual(there({ status: 3 }), { status: 3 });
  assert.equal(
    there(() => 1),
    "() => 1",
  );
});

test("errors that can't be read, are endless or have what can't be sent are told as far as they can", () => {
  const bad = Object.defineProperty(new Error("x"), "code", {
    enumerable: true,
    get: () => {
      throw new Error("no");
    },
  });
  assert.equal((there(bad) as Error).message, "x");
  const loop: Error & { self?: unknown } = new Error("loop");
  loop.cause = loop;
  loop.self = loop;
  assert.equal((there(loop) as Error).message, "loop");
  assert.deepEqual({ ...(there(Object.assign(new Error("y"), { fn: () => 1, kept: [1] })) as object) }, { kept: [1] });
});
