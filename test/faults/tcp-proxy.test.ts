/** The proxy on an echo server. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { test, type TestContext } from "node:test";

import { until } from "../support/until.ts";
import { TcpProxy } from "./tcp-proxy.ts";

test("passes everything on, both ways, and the end", async (t) => {
  const proxy = await proxyBeforeEcho(t);
  const { socket, received } = dial(t, proxy);
  const sent = Buffer.alloc(3_000_000, "x");
  socket.end(sent);
  await once(socket, "close");
  assert.equal(received(), sent.length);
  await until("no connection is left", () => proxy.connections === 0);
});

test("latency delays an answer by both ways, and does not hold up what follows", async (t) => {
  const proxy = await proxyBeforeEcho(t);
  proxy.weather = { latency: 100 };
  const { socket, received } = dial(t, proxy);
  const begin = performance.now();
  for (let n = 0; n < 20; n++) socket.write("x");
  await until("all is back", () => received() === 20);
  const took = performance.now() - begin;
  assert.ok(took >= 195, `it took ${took} ms`);
});

test("a throttled connection takes its time", async (t) => {
  const proxy = await proxyBeforeEcho(t);
  proxy.weather = { throttle: 100_000 };
  const { socket, received } = dial(t, proxy);
  const begin = performance.now();
  socket.write(Buffer.alloc(30_000));
  await until("all is back", () => received() === 30_000);
  assert.ok(performance.now() - begin >= 290);
});

test("in silence connections stay open and nothing passes; afterwards all arrives", async (t) => {
  const proxy = await proxyBeforeEcho(t);
  const { socket, received } = dial(t, proxy);
  socket.write("a");
  await until("the first is back", () => received() === 1);
  proxy.weather = { passes: "silent" };
  socket.write("b");
  const other = dial(t, proxy);
  await once(other.socket, "connect");
  other.socket.write("c");
  await until("all connections are taken", () => proxy.connections === 4);
  assert.deepEqual([received(), other.received(), socket.destroyed], [1, 0, false]);
  proxy.weather = {};
  await until("what waited is back", () => received() === 2 && other.received() === 1);
});

test("a connection is reset after so many bytes", async (t) => {
  const proxy = await proxyBeforeEcho(t);
  proxy.weather = { cutAfter: 1000 };
  const { socket } = dial(t, proxy);
  const failed = once(socket, "error");
  socket.write(Buffer.alloc(1001));
  const [error] = (await failed) as [NodeJS.ErrnoException];
  assert.equal(error.code, "ECONNRESET");
});

test("a reset reaches the client as an error", async (t) => {
  const proxy = await proxyBeforeEcho(t);
  const { socket, received } = dial(t, proxy);
  socket.write("a");
  await until("it is back", () => received() === 1);
  const failed = once(socket, "error");
  proxy.reset();
  const [error] = (await failed) as [NodeJS.ErrnoException];
  assert.equal(error.code, "ECONNRESET");
});

test("what is held comes when it is let go, and other connections are well meanwhile", async (t) => {
  const proxy = await proxyBeforeEcho(t);
  const old = dial(t, proxy);
  old.socket.write("a");
  await until("it is back", () => old.received() === 1);
  const release = proxy.hold();
  old.socket.write("b");
  const young = dial(t, proxy);
  young.socket.write("c");
  await until("the new one is well", () => young.received() === 1);
  assert.equal(old.received(), 1);
  release();
  await until("the rest is back", () => old.received() === 2);
});

async function proxyBeforeEcho(t: TestContext): Promise<TcpProxy> {
  const echo = createServer((socket) => {
    socket.on("error", () => undefined);
    socket.pipe(socket);
  });
  echo.listen(0, "127.0.0.1");
  await once(echo, "listening");
  const proxy = await TcpProxy.start(`127.0.0.1:${(echo.address() as AddressInfo).port}`);
  t.after(async () => {
    await proxy[Symbol.asyncDispose]();
    echo.close();
  });
  return proxy;
}

function dial(t: TestContext, proxy: TcpProxy): { readonly socket: Socket; readonly received: () => number } {
  const socket = connect(Number(proxy.address.split(":")[1]), "127.0.0.1");
  socket.on("error", () => undefined);
  t.after(() => socket.destroy());
  let received = 0;
  socket.on("data", (chunk: Buffer) => (received += chunk.length));
  return { socket, received: () => received };
}
