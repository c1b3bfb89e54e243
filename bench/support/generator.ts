import { setTimeout as delay } from "node:timers/promises";

import { compatibilityPartitioner, Producer } from "@platformatic/kafka";

export type Phase = "warm-up" | "measured";

/** Makes the record of a number, counted from 0, as it is handed to the producer. */
export type MakeMessage = (number: number, phase: Phase) => { readonly key: string; readonly value: string | Uint8Array };

/** Sends what is due, about every millisecond, without waiting for what went before. */
export class Generator implements AsyncDisposable {
  readonly #producer: Producer<string, string | Uint8Array, string, string>;
  readonly #topic: string;
  readonly #rate: number;
  readonly #make: MakeMessage;
  readonly #underWay = new Set<Promise<unknown>>();
  #failure: unknown;
  sent = 0;

  /** @param rate events a second */
  constructor(brokers: string, topic: string, rate: number, make: MakeMessage) {
    this.#topic = topic;
    this.#rate = rate;
    this.#make = make;
    this.#producer = new Producer({
      clientId: "generator",
      bootstrapBrokers: brokers.split(","),
      acks: 1,
      partitioner: (message, key) => compatibilityPartitioner(message as never, key),
      serializers: { key: (key) => Buffer.from(key ?? ""), value: (value) => Buffer.from((value as string | undefined) ?? "") },
    });
  }

  async run(ms: number, phase: Phase): Promise<void> {
    const start = performance.now();
    for (let sent = 0, due = 0; sent < (this.#rate * ms) / 1000;) {
      await delay(1);
      due = Math.floor((Math.min(performance.now() - start, ms) * this.#rate) / 1000);
      if (due > sent) this.#send(due - sent, phase);
      sent = due;
    }
  }

  #send(count: number, phase: Phase): void {
    const messages = Array.from({ length: count }, () => ({ topic: this.#topic, ...this.#make(this.sent++, phase) }));
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
