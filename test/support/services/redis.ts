import { redisServer } from "./install.ts";
import type { Service } from "./local-process.ts";
import { startLocalProcess } from "./local-process.ts";
import { freePort } from "./ports.ts";
import { exchange } from "./probe.ts";
import { newServiceDir } from "./watchdog.ts";

/** Starts a Redis of the test's own. `address` is `redis://host:port`. What it confirmed is there again after `kill` and `restart`. */
export async function startRedis(): Promise<Service> {
  const command = await redisServer();
  const dir = newServiceDir("redis");
  const port = await freePort();
  const address = `127.0.0.1:${port}`;
  return await startLocalProcess({
    name: "Redis",
    address: `redis://${address}`,
    dir,
    command,
    args: ["--bind", "127.0.0.1", "--port", String(port), "--dir", dir, "--save", "", "--appendonly", "yes"],
    ready: async () => (await exchange(address, "PING\r\n", (text) => text.includes("\r\n"))).includes("+PONG"),
  });
}
