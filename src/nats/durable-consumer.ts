import type { ConsumerInfo, StreamInfo } from "@nats-io/jetstream";

import type { Logger } from "../contracts.ts";
import type { JetStreamApi } from "./api.ts";
import { fitSettings } from "./consumer-settings.ts";
import type { Resume, WantedConsumer } from "./consumers.ts";
import { ensureConsumer } from "./consumers.ts";

/** A task's durable consumer, and how far it was acknowledged, in case that somebody deletes it. */
export class DurableConsumer {
  readonly #api: JetStreamApi;
  readonly #wanted: WantedConsumer;
  readonly #logger: Logger;
  #resume: Resume | undefined;
  readonly #warned = new Set<string>();

  constructor(api: JetStreamApi, wanted: WantedConsumer, logger: Logger) {
    this.#api = api;
    this.#wanted = wanted;
    this.#logger = logger;
  }

  /** When the stream was created, as last found. */
  get streamCreated(): string | undefined {
    return this.#resume?.created;
  }

  /**
   * Finds the consumer, or creates it and gives it the task's settings where the task says so. One that was there before and is gone begins where the old one
   * was acknowledged, as far as it is known here: nothing is lost, some may come again.
   * @throws {NotReadyError} when the stream or the consumer is missing
   * @throws {ConfigError} when it can't do what the task needs
   */
  async find(signal: AbortSignal): Promise<ConsumerInfo> {
    const found = await ensureConsumer(this.#api, signal, this.#wanted, this.#resume);
    const { info, warning } = await fitSettings(this.#api, signal, found.info, this.#wanted);
    this.#warn(warning);
    this.#warn(removalWarning(found.stream, this.#wanted));
    this.#resume = { after: info.ack_floor.stream_seq, created: found.stream.created };
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

  #warn(text: string | undefined): void {
    if (text === undefined || this.#warned.has(text)) return;
    this.#warned.add(text);
    this.#logger.warn({ consumer: this.#wanted.name }, text);
  }
}

/** The server takes a message that the stream removes for acknowledged, and with it all before it of a consumer that is owned. */
function removalWarning({ config }: StreamInfo, { stream, owned, task }: WantedConsumer): string | undefined {
  const most = config.max_msgs_per_subject;
  if (!owned || most === undefined || most <= 0) return undefined;
  return `stream "${stream}" keeps ${most} messages of a subject (max_msgs_per_subject): when it removes one that task "${task}" has read into its state, that and all before it count as acknowledged, and are missing there after a restart; read a stream without that setting`;
}
