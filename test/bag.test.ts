import assert from "node:assert/strict";
import { test } from "node:test";

import { Bag, type InBag } from "../src/bag.ts";

interface Named extends InBag {
  readonly name: string;
}

function named(name: string): Named {
  return { slot: 0, name };
}

function namesIn(bag: Bag<Named>): string {
  return bag
    .all()
    .map(({ name }) => name)
    .toSorted()
    .join("");
}

test("what was added is in it until it is taken out", () => {
  const bag = new Bag<Named>();
  const [a, b, c] = [named("a"), named("b"), named("c")];
  for (const item of [a, b, c]) bag.add(item);
  assert.equal(namesIn(bag), "abc");
  assert.equal(bag.delete(a), true);
  assert.deepEqual([bag.has(a), bag.has(b), bag.has(c), bag.size], [false, true, true, 2]);
  assert.equal(bag.delete(a), false);
  bag.add(a);
  assert.equal(bag.delete(c), true);
  assert.equal(bag.delete(b), true);
  assert.equal(namesIn(bag), "a");
});

test("what was never in it is not in it, whatever is", () => {
  const bag = new Bag<Named>();
  bag.add(named("a"));
  const other = named("b");
  assert.deepEqual([bag.has(other), bag.delete(other), bag.size], [false, false, 1]);
});

test("one who goes through it may take out what is in it", () => {
  const bag = new Bag<Named>();
  for (const name of ["a", "b", "c", "d"]) bag.add(named(name));
  for (const item of bag.all()) bag.delete(item);
  assert.equal(bag.size, 0);
});
