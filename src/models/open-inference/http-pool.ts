import type { Dispatcher } from "undici";
import { Pool } from "undici";

import type { Lease, SharedResources } from "../../contracts.ts";

/** Connections to one origin, kept alive between requests: one set of them in a process, whoever asks. */
export class HttpPool implements AsyncDisposable {
  readonly dispatcher: Dispatcher;

  constructor(origin: string) {
    // How long an answer may take is the request's affair (see exchange), so undici's own timers are off. There is no limit of
    // connections: whoever asks limits what is in flight.
    this.dispatcher = new Pool(origin, { headersTimeout: 0, bodyTimeout: 0 });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dispatcher.destroy();
  }
}

/** @param origin `https://host:port` */
export function leasePool(shared: SharedResources, origin: string): Promise<Lease<HttpPool>> {
  return shared.lease(`http ${origin}`, () => Promise.resolve(new HttpPool(origin)));
}
