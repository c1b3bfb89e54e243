import assert from "node:assert/strict";
import { test } from "node:test";

import { parseAddress } from "../../src/nats/address.ts";

test("an address is taken apart, and what is shown of it has no secrets", () => {
  const cases: readonly (readonly [
    string,
    string,
    string,
    string | undefined,
    string | undefined,
    string | undefined,
    string | undefined,
  ])[] = [
    // text, server, shown, host to resolve, user, password, token
    ["nats://example.org:4333", "example.org:4333", "nats://example.org:4333", "example.org", undefined, undefined, undefined],
    ["example.org", "example.org:4222", "nats://example.org:4222", "example.org", undefined, undefined, undefined],
    ["tls://127.0.0.1/", "127.0.0.1:4222", "tls://127.0.0.1:4222", undefined, undefined, undefined, undefined],
    ["nats://me:4222@host:1", "host:1", "nats://host:1", "host", "me", "4222", undefined],
    ["nats://me:p%40%3A@host", "host:4222", "nats://host:4222", "host", "me", "p@:", undefined],
    ["nats://me:a@b@host", "host:4222", "nats://host:4222", "host", "me", "a@b", undefined],
    ["nats://t0ken@host", "host:4222", "nats://host:4222", "host", undefined, undefined, "t0ken"],
    ["nats://[::1]:4333", "[::1]:4333", "nats://[::1]:4333", undefined, undefined, undefined, undefined],
    ["::1", "[::1]:4222", "nats://[::1]:4222", undefined, undefined, undefined, undefined],
  ];
  for (const [text, server, shown, host, user, password, token] of cases) {
    assert.deepEqual(parseAddress(text), { server, shown, host, tls: text.startsWith("tls"), user, password, token }, text);
  }
});
