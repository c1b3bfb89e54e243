import { once } from "node:events";
import { createServer } from "node:net";

/**
 * Below the range that systems take outgoing ports from (Linux: 32768 and up). A port from that range could be taken while its
 * broker is down, and a client that tries to connect to it again and again could even be connected to itself.
 */
const LOWEST = 20_000;
const HIGHEST = 31_999;

const given = new Set<number>();

/** A port of 127.0.0.1 that nobody listens on, and that this process was not given before. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 1000; tries++) {
    const port = LOWEST + Math.floor(Math.random() * (HIGHEST - LOWEST + 1));
    if (given.has(port) || !(await isFree(port))) continue;
    given.add(port);
    return port;
  }
  throw new Error(`no free port was found between ${LOWEST} and ${HIGHEST}`);
}

/** Whether nobody listens on this port of 127.0.0.1. */
export async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    return true;
  } catch {
    return false;
  } finally {
    server.close();
  }
}
