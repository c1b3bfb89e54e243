import type { ConnectionPool } from "@platformatic/kafka";

/** A connection that fails a second time has no listener left, and Node ends the process for it. Requests fail by themselves. */
export function listenForErrors(pool: ConnectionPool): void {
  pool.on("connecting", ({ connection }) => void connection.on("error", () => {}));
}
