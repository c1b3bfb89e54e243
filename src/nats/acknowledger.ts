import type { NatsConnection as Client } from "@nats-io/transport-node";

import type { NatsLink } from "./connection.ts";
import { flushed } from "./connection.ts";
import type { Delivery } from "./delivery.ts";
import { Ack } from "./delivery.ts";

/** How long the confirmation of the last acknowledgement may take, in milliseconds. */
const CONFIRM_TIMEOUT = 5000;

/**
 * Sends acknowledgements without waiting for each. Those that a lost connection may have swallowed are sent once more when
 * it is back, so that what is done is not delivered again.
 */
export class Acknowledger implements AsyncDisposable {
  readonly #link: NatsLink;
  readonly #unwatch: () => void;
  /** Reply subjects of acknowledgements that the server may not have seen. */
  #unconfirmed: string[] = [];
  /** The client that was asked to confirm. */
  #confirming: Client | undefined;

  constructor(link: NatsLink) {
    this.#link = link;
    this.#unwatch = link.watch((client) => client !== undefined && this.#resend(client));
  }

  done(deliveries: readonly Delivery[]): void {
    if (deliveries.length === 0) return;
    const { client } = this.#link;
    for (const { reply } of deliveries) {
      if (reply === "") continue;
      this.#unconfirmed.push(reply);
      if (client !== undefined) send(client, reply, Ack.done);
    }
    if (client !== undefined) this.#confirm(client);
  }

  /** Sends something else about deliveries, such as that they are worked on. Lost when the connection is. */
  tell(deliveries: Iterable<Delivery>, what: Uint8Array): void {
    const { client } = this.#link;
    if (client === undefined) return;
    for (const { reply } of deliveries) if (reply !== "") send(client, reply, what);
  }

  /**
   * Waits until the server has worked on the last acknowledgement, and so on all before it; not longer than 5 s, and not
   * while the connection is away. Idempotent.
   */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#unwatch();
    const last = this.#unconfirmed.at(-1);
    this.#unconfirmed = [];
    const { client } = this.#link;
    if (client === undefined) return;
    try {
      if (last === undefined) await flushed(client);
      // JetStream answers an acknowledgement that is a request, in the order in which they came.
      else await client.request(last, Ack.done, { timeout: CONFIRM_TIMEOUT });
    } catch {
      // What was not acknowledged is delivered again.
    }
  }

  /** The server answers a ping after all that was sent before it. A client that is closed answers nothing, not even an error. */
  #confirm(client: Client): void {
    if (this.#confirming === client || this.#unconfirmed.length === 0) return;
    this.#confirming = client;
    const sent = this.#unconfirmed.length;
    client.flush().then(
      () => {
        if (this.#confirming !== client) return;
        this.#confirming = undefined;
        this.#unconfirmed.splice(0, sent);
        this.#confirm(client);
      },
      () => undefined,
    );
  }

  #resend(client: Client): void {
    for (const reply of this.#unconfirmed) send(client, reply, Ack.done);
    this.#confirm(client);
  }
}

function send(client: Client, subject: string, payload: Uint8Array): void {
  try {
    client.publish(subject, payload);
  } catch {
    // The connection was just lost: the link will say so.
  }
}
