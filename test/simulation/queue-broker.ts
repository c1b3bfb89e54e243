import type { Batch, Origin, Position } from "../../src/batch.ts";
import { NO_WATERMARK } from "../../src/batch.ts";
import type { Failures, Partition, Source } from "../../src/contracts.ts";
import type { Reading } from "./input.ts";
import { decoded, eventOf } from "./log-partition.ts";
import type { Process } from "./process.ts";
import type { Service } from "./service.ts";

/** How long a message may be worked on, in milliseconds. */
const ACK_WAIT = 5000;
const POLL = 700;

interface Message {
  readonly reading: Reading;
  state: "waits" | "delivered" | "acknowledged";
  /** The delivery that counts. */
  delivery: number;
  times: number;
  cancelWait: () => void;
}

/** Told of each message that was acknowledged. */
export type AckJudge = (sequence: number, process: Process) => void;

/** A stream with a consumer that members share, as JetStream has them: each message is acknowledged by itself, or comes again. */
export class QueueBroker {
  readonly service: Service;
  readonly messages: Message[] = [];
  onAck: AckJudge = () => undefined;
  #deliveries = 0;

  constructor(service: Service) {
    this.service = service;
  }

  get isDone(): boolean {
    return this.messages.every(({ state }) => state === "acknowledged");
  }

  append(readings: readonly Reading[]): void {
    for (const reading of readings) this.messages.push({ reading, state: "waits", delivery: 0, times: 0, cancelWait: () => undefined });
  }

  deliver(most: number): readonly Delivery[] {
    const given: Delivery[] = [];
    for (const [sequence, message] of this.messages.entries()) {
      if (given.length >= most) break;
      if (message.state !== "waits") continue;
      message.state = "delivered";
      message.delivery = ++this.#deliveries;
      message.times += 1;
      this.#wait(message);
      given.push({ sequence, delivery: message.delivery, times: message.times, reading: message.reading });
    }
    return given;
  }

  acknowledge(deliveries: readonly Delivery[], process: Process): void {
    for (const { sequence } of deliveries) {
      const message = this.#message(sequence);
      message.cancelWait();
      message.state = "acknowledged";
      this.onAck(sequence, process);
    }
  }

  /** They are still worked on. */
  extend(deliveries: readonly Delivery[]): void {
    for (const { sequence, delivery } of deliveries) {
      const message = this.#message(sequence);
      if (message.state === "delivered" && message.delivery === delivery) this.#wait(message);
    }
  }

  giveBack(deliveries: readonly Delivery[]): void {
    for (const { sequence, delivery } of deliveries) {
      const message = this.#message(sequence);
      if (message.state !== "delivered" || message.delivery !== delivery) continue;
      message.cancelWait();
      message.state = "waits";
    }
  }

  #wait(message: Message): void {
    message.cancelWait();
    message.cancelWait = this.service.world.after(ACK_WAIT, () => {
      if (message.state === "delivered") message.state = "waits";
    });
  }

  #message(sequence: number): Message {
    return this.messages[sequence] as Message;
  }
}

interface Delivery {
  readonly sequence: number;
  readonly delivery: number;
  /** How often it was delivered, this time included. */
  readonly times: number;
  readonly reading: Reading;
}

interface HeldDelivery extends Delivery {
  /** The commit that acknowledges it. */
  readonly done: Position;
}

/** What one member gets of the queue, as one partition whose positions never fall, though older messages may come again. */
export class QueueSource implements Source {
  readonly #process: Process;
  readonly #broker: QueueBroker;
  readonly #most: () => number;
  #held: HeldDelivery[] = [];
  #position = 0;
  #acks: Promise<void> = Promise.resolve();
  #cancelExtending: () => void = () => undefined;

  constructor(process: Process, broker: QueueBroker, most: () => number) {
    this.#process = process;
    this.#broker = broker;
    this.#most = most;
  }

  async *partitions(stop: AbortSignal): AsyncGenerator<Partition> {
    const over = Promise.withResolvers<undefined>();
    const closing = new AbortController();
    const end = () => {
      closing.abort();
      over.resolve(undefined);
    };
    stop.addEventListener("abort", end, { once: true });
    if (stop.aborted) return;
    this.#extendEvery(ACK_WAIT / 3);
    yield {
      name: "stream/consumer",
      signal: new AbortController().signal,
      read: (_, failures) => this.#read(over.promise, closing.signal, failures),
      commit: (position) => {
        const done = this.#held.filter((held) => held.done <= position);
        this.#held = this.#held.filter((held) => held.done > position);
        if (done.length > 0) this.#acks = this.#inTurn(done);
        return Promise.resolve();
      },
      [Symbol.asyncDispose]: async () => {
        this.#cancelExtending();
        end();
        await this.#acks;
        const rest = this.#held.splice(0);
        if (rest.length > 0) await this.#ask("give back", () => this.#broker.giveBack(rest)).catch(() => undefined);
      },
    };
    await over.promise;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }

  async *#read(over: Promise<undefined>, closing: AbortSignal, failures: Failures | undefined): AsyncGenerator<Batch> {
    const origin: Origin = { system: "simulated", name: "topic", partition: 0 };
    while (!closing.aborted) {
      const given = await this.#ask("deliver", () => this.#broker.deliver(this.#most())).catch(() => undefined);
      if (given === undefined || given.length === 0) {
        await Promise.race([new Promise<void>((resolve) => void this.#process.clock.after(POLL, resolve)), over]);
        continue;
      }
      const held = new Set(this.#held.map(({ sequence }) => sequence));
      const fresh = given.filter(({ sequence }) => !held.has(sequence));
      const read = fresh.map(({ reading, sequence, times }) => eventOf(reading, sequence, times > 1 ? { ...origin } : origin));
      for (const delivery of fresh) {
        this.#position = Math.max(this.#position, delivery.sequence) + 1;
        this.#held.push({ ...delivery, done: this.#position });
      }
      const { events, failure } = decoded(read, failures);
      yield { events, position: this.#position, watermark: NO_WATERMARK };
      if (failure !== undefined) throw failure;
    }
  }

  async #inTurn(done: readonly Delivery[]): Promise<void> {
    await this.#acks;
    await this.#acknowledge(done);
  }

  /** An acknowledgement that may be lost is sent once more; after that the message comes again. */
  async #acknowledge(done: readonly Delivery[]): Promise<void> {
    const acknowledge = () =>
      this.#ask(`acknowledge ${done.map(({ sequence }) => sequence).join(" ")}`, () => this.#broker.acknowledge(done, this.#process));
    await acknowledge().catch(() => acknowledge().catch(() => undefined));
  }

  #extendEvery(ms: number): void {
    this.#cancelExtending = this.#process.clock.after(ms, () => {
      this.#extendEvery(ms);
      const held = [...this.#held];
      if (held.length > 0) this.#ask("extend", () => this.#broker.extend(held)).catch(() => undefined);
    });
  }

  #ask<R>(what: string, effect: () => R): Promise<R> {
    return this.#process.ask(this.#broker.service, what, effect);
  }
}
