import assert from "node:assert/strict";
import { test } from "node:test";

import * as millrace from "millrace";

import { namesFrom } from "../../../src/models/lanes/light-door.ts";
import * as door from "../../../src/models/lanes/model-door.ts";

test("the small door has the same things as millrace", () => {
  const all = millrace as Readonly<Record<string, unknown>>;
  for (const [name, thing] of Object.entries(door)) assert.equal(thing, all[name], name);
});

for (const [text, names] of [
  [`import { defineModel, failed as bad } from "millrace";`, ["defineModel", "failed"]],
  [`import { type Model,\n  defineModel, // the definition\n} from 'millrace';`, ["defineModel"]],
  [`import type { Model } from "millrace";`, []],
  [`import { a } from "./a.ts"; import { defineModel } from "millrace"; export { z } from "millrace";`, ["defineModel", "z"]],
  [`export {};`, []],
  [`import * as millrace from "millrace";`, undefined],
  [`import { failed } from "millrace"; const { z } = await import("millrace");`, undefined],
] as const) {
  test(`${text} imports ${names === undefined ? "who knows what" : `[${names.join(", ")}]`}`, () => {
    assert.deepEqual(namesFrom(text), names);
  });
}
