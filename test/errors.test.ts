import assert from "node:assert/strict";
import { test } from "node:test";

import { messageOf, stackOf } from "../src/errors.ts";
import { faultOf } from "../src/tasks/product-faults.ts";

const unreadable = new Proxy(new Error("x"), {
  get() {
    throw new Error("no");
  },
});

test("whatever was thrown has a message", () => {
  const bad = Object.defineProperty(new Error("x"), "message", {
    get() {
      throw new Error("no");
    },
  });
  const cases: [thrown: unknown, message: string][] = [
    [new Error("boom"), "boom"],
    [new TypeError(""), "TypeError"],
    [new AggregateError([new Error("a"), null]), "a; null"],
    [Object.assign(new Error("x"), { message: 42 }), "42"],
    [undefined, "undefined"],
    [Symbol("s"), "Symbol(s)"],
    [Object.create(null), "something was thrown that can't be read"],
    [bad, "something was thrown that can't be read"],
    [unreadable, "something was thrown that can't be read"],
  ];
  for (const [thrown, message] of cases) assert.equal(messageOf(thrown), message);
});

test("what can't be read has no stack trace and no place in a product", () => {
  assert.equal(stackOf(unreadable), undefined);
  assert.equal(stackOf(Object.assign(new Error("x"), { stack: 1 })), undefined);
  assert.deepEqual(faultOf(unreadable, undefined, "/products/a"), {
    where: "/products/a",
    what: "something was thrown that can't be read",
  });
});
