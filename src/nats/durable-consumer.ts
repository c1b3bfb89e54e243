import type { ConsumerInfo } from "@nats-io/jetstream";

import type { JetStreamApi } from "./api.ts";
import type { Resume, WantedConsumer } from "./consumers.ts";
import { ensureConsumer } from "./consumers.ts";

/** A task's durable consumer, and how far it was acknowledged, in case that somebody deletes it. */
export class DurableConsumer {
  readonly #api: JetStreamApi;
  readonly #wanted: WantedConsumer;
  #resume: Resume | undefined;

  constructor(api: JetStreamApi, wanted: WantedConsumer) {
    this.#api = api;
    this.#wanted = wanted;
  }

  /** When the stream was created, as last found. */
  get streamCreated(): string | undefined {
    return this.#resume?.created;
  }

  /**
   * Finds the consumer, or creates it where the task says so. One that was there before and is gone begins where the old one
   * was acknowledged, as far as it is known here: nothing is lost, some may come again.
   * @throws {NotReadyError} when the stream or the consumer is missing
   * @throws {ConfigError} when it can't do what the task needs
   */
  async find(signal: AbortSignal): Promise<ConsumerInfo> {
    const { info, created } = await ensureConsumer(this.#api, signal, this.#wanted, this.#resume);
    this.#resume = { after: info.ack_floor.stream_seq, created };
    return info;
  }

  /** Notes that everything up to a sequence number is acknowledged. */
  acknowledged(sequence: number): void {
    if (this.#resume !== undefined && sequence > this.#resume.after) this.#resume = { ...this.#resume, after: sequence };
  }

  /** Asks the server how far all instances have acknowledged. Never throws: whoever reads finds out what is wrong. */
  async refresh(signal: AbortSignal): Promise<void> {
    const { stream, name } = this.#wanted;
    try {
      const info = await this.#api.ask(signal, ({ consumers }) => consumers.info(stream, name));
      this.acknowledged(info.ack_floor.stream_seq);
    } catch {
      // Gone, or nobody wants to know any more.
    }
  }
}
