import { setTimeout as delay } from "node:timers/promises";

import { compatibilityPartitioner, Producer } from "@platformatic/kafka";

import type { Bid } from "./nexmark.ts";

/** Sends what is due, about every millisecond, without waiting for what went before. */
export class Generator implements AsyncDisposable {
  readonly #producer: Producer<string, string, string, string>;
  readonly #topic: string;
  readonly #rate: number;
  readonly #pool: readonly Bid[];
  readonly #underWay = new Set<Promise<unknown>>();
  #failure: unknown;
  sent = 0;

  /** @param rate events a second */
  constructor(brokers: string, topic: string, rate: number, pool: readonly Bid[]) {
    this.#topic = topic;
    this.#rate = rate;
    this.#pool = pool;
    this.#producer = new Producer({
      clientId: "generator",
      bootstrapBrokers: brokers.split(","),
      acks: 1,
      partitioner: (message, key) => compatibilityPartitioner(message as never, key),
      serializers: { key: (key) => Buffer.from(key ?? ""), value: (value) => Buffer.from(value ?? "") },
    });
  }

  async run(ms: number, phase: "warm-up" | "measured"): Promise<void> {
    const start = performance.now();
    for (let sent = 0, due = 0; sent < (this.#rate * ms) / 1000;) {
      await delay(1);
      due = Math.floor((Math.min(performance.now() - start, ms) * this.#rate) / 1000);
      if (due > sent) this.#send(due - sent, phase);
      sent = due;
    }
  }

  /** The time of sending is in `extra`, which workers pass on. */
  #send(count: number, phase: string): void {
    const extra = `${phase} ${Date.now()}`;
    const messages = Array.from({ length: count }, () => {
      const bid = this.#pool[this.sent++ % this.#pool.length] as Bid;
      return { topic: this.#topic, key: String(bid.auction), value: JSON.stringify({ ...bid, extra }) };
    });
    const sending: Promise<unknown> = this.#producer
      .send({ messages, acks: 1 })
      .catch((error: unknown) => (this.#failure ??= error))
      .finally(() => this.#underWay.delete(sending));
    this.#underWay.add(sending);
  }

  async confirmed(): Promise<void> {
    await Promise.all(this.#underWay);
    if (this.#failure !== undefined) throw this.#failure as Error;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#underWay);
    await this.#producer.close();
  }
}
