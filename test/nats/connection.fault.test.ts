import assert from "node:assert/strict";
import { test } from "node:test";

import { systemClock } from "../../src/clock.ts";
import { NatsLink } from "../../src/nats/connection.ts";
import { TcpProxy } from "../faults/tcp-proxy.ts";
import { silent } from "../support/kafka-topics.ts";
import { startNats } from "../support/services/index.ts";

test("a server that takes longer to greet than the first attempt waits is reached by a later one", async (t) => {
  const server = await startNats();
  t.after(() => server[Symbol.asyncDispose]());
  const proxy = await TcpProxy.start(new URL(server.address).host);
  t.after(() => proxy[Symbol.asyncDispose]());
  // Its greeting, our answer and its own take more than six seconds.
  proxy.weather = { latency: 2100 };
  const link = new NatsLink({ servers: [`nats://${proxy.address}`], credentials: undefined }, silent, systemClock);
  t.after(() => link[Symbol.asyncDispose]());
  const reasons: (string | undefined)[] = [];
  link.watch((_client, reason) => reasons.push(reason));
  const client = await link.ready(AbortSignal.timeout(30_000));
  assert.equal(client.isClosed(), false);
  assert.match(reasons[0] ?? "", /NATS is away: .*timeout/);
});
