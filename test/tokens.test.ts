import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { decodeToken, encodeToken } from "../src/tokens.ts";

test("any text is one token and comes back as it was", () => {
  fc.assert(
    fc.property(fc.string({ unit: "grapheme", minLength: 1 }), (text) => {
      const token = encodeToken(text);
      assert.match(token, /^[\w%-]+$/);
      assert.equal(decodeToken(token), text);
    }),
  );
  assert.equal(decodeToken("100%"), "100%");
});
