import { connect } from "node:net";

/**
 * Connects to `host:port`, sends `request` and gives what comes back, once `enough` says that it is whole.
 *
 * @throws Error when the connection fails or closes before, or after two seconds.
 */
export async function exchange(address: string, request: Buffer | string, enough: (received: Buffer) => boolean): Promise<Buffer> {
  const colon = address.lastIndexOf(":");
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const socket = connect(Number(address.slice(colon + 1)), address.slice(0, colon));
  let received = Buffer.alloc(0);
  socket.setTimeout(2000, () => reject(new Error(`${address} did not answer within 2 s`)));
  socket.on("connect", () => socket.write(request));
  socket.on("data", (chunk) => {
    received = Buffer.concat([received, chunk]);
    if (enough(received)) resolve(received);
  });
  socket.on("error", reject);
  socket.on("close", () => reject(new Error(`${address} closed the connection`)));
  try {
    return await promise;
  } finally {
    socket.destroy();
  }
}
