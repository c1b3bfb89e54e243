/**
 * Heartbeats of all group members in a process, over one connection to each coordinator. What they cost is above all the
 * call of the system for each: those that are due together go in one.
 */
import { type Connection, ConnectionPool, heartbeatV4 } from "@platformatic/kafka";

import type { KafkaConnection } from "../connections.ts";
import type { Lease, SharedResources } from "../contracts.ts";
import { type BrokerAddress, platformaticOptions } from "./client-options.ts";
import type { MemberOf } from "./driver.ts";
import { listenForErrors } from "./platformatic-errors.ts";

/** A coordinator answers a heartbeat at once, or is in trouble. Milliseconds. */
const PATIENCE = 10_000;
/** The library's own limit of five would make a round trip of every five. */
const IN_FLIGHT = 10_000;

/** Leases the process's heartbeats to a cluster. */
export function leaseHeartbeats(connection: KafkaConnection, shared: SharedResources): Promise<Lease<Heartbeats>> {
  const key = JSON.stringify(["kafka heartbeats", connection.brokers, connection.sasl?.username]);
  return shared.lease(key, () => Promise.resolve(new Heartbeats(connection)));
}

export class Heartbeats implements AsyncDisposable {
  readonly #pool: ConnectionPool;
  readonly #corked = new Set<Connection>();

  constructor(connection: KafkaConnection) {
    const options = platformaticOptions(connection, { clientId: "millrace", requestTimeout: PATIENCE });
    this.#pool = new ConnectionPool(options.clientId, { ...options, maxInflights: IN_FLIGHT });
    listenForErrors(this.#pool);
  }

  /** @throws what the broker answers, or why it can't be asked */
  async beat(coordinator: BrokerAddress, group: string, { generation, member }: MemberOf): Promise<void> {
    const connection = await this.#pool.get({ ...coordinator });
    this.#cork(connection);
    await heartbeatV4.api.async(connection, group, generation, member, null);
  }

  /** Holds back what is written until everything that is due now was. */
  #cork(connection: Connection): void {
    const { socket } = connection;
    if (this.#corked.has(connection)) return;
    this.#corked.add(connection);
    socket.cork();
    setImmediate(() => {
      this.#corked.delete(connection);
      socket.uncork();
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#pool.close().catch(() => {});
  }
}
