import { connect, createServer } from "node:net";
import type { AddressInfo, Server, Socket } from "node:net";
import type { TestContext } from "node:test";

/** A way to a service that can be shut and opened: while it is shut, connections to it are refused. */
export interface Gate {
  /** Where to connect: 127.0.0.1 and this port. */
  readonly port: number;
  /** Cuts off all who are connected. */
  shut(): Promise<void>;
  open(): Promise<void>;
}

/** Opens a gate before `host:port`, gone when the test ends. */
export async function openGate(t: TestContext, host: string, port: number): Promise<Gate> {
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(port, host);
    for (const [socket, other] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(socket);
      socket.on("error", () => other.destroy());
      socket.on("close", () => sockets.delete(socket));
      socket.pipe(other);
    }
  });
  await listen(server, 0);
  const address = server.address() as AddressInfo;
  const shut = () =>
    new Promise<void>((resolve) => {
      server.close(() => resolve());
      for (const socket of sockets) socket.destroy();
    });
  t.after(shut);
  return { port: address.port, shut, open: () => listen(server, address.port) };
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, "127.0.0.1", () => {
      server.off("error", reject);
      resolve();
    });
  });
}
