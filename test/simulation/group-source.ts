import type { Position } from "../../src/batch.ts";
import type { Partition, Source } from "../../src/contracts.ts";
import { HEARTBEAT, StaleMemberError, type LogBroker } from "./log-broker.ts";
import { LogPartition } from "./log-partition.ts";
import type { Process } from "./process.ts";

const PAUSE = 400;

/** A member of the broker's group: yields the partitions of each generation, and hands them over when it ends. */
export class GroupSource implements Source {
  readonly #process: Process;
  readonly #broker: LogBroker;
  readonly #most: () => number;
  readonly #left = new AbortController();
  #member: number | undefined;
  /** Tries to join; what comes for an older one is nobody's. */
  #attempt = 0;
  #open: LogPartition[] = [];
  #queue: LogPartition[] = [];
  #wake: () => void = () => undefined;
  #cancelHeartbeat: () => void = () => undefined;

  /** @param most records of a batch */
  constructor(process: Process, broker: LogBroker, most: () => number) {
    this.#process = process;
    this.#broker = broker;
    this.#most = most;
  }

  async *partitions(stop: AbortSignal): AsyncGenerator<Partition> {
    const leave = () => {
      this.#left.abort();
      for (const partition of this.#open) partition.end();
      this.#wake();
    };
    stop.addEventListener("abort", leave, { once: true });
    if (stop.aborted) leave();
    else {
      void this.#join();
      this.#beat();
    }
    while (!this.#left.signal.aborted) {
      const next = this.#queue.shift();
      if (next !== undefined) yield next;
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve;
        });
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#left.abort();
    this.#cancelHeartbeat();
    // What was never handed out is nobody's.
    for (const partition of this.#queue.splice(0)) await partition[Symbol.asyncDispose]();
    await Promise.all(this.#open.map(({ closed }) => closed));
    const member = this.#member;
    if (member !== undefined) await this.#ask("leave", () => this.#broker.leave(member)).catch(() => undefined);
  }

  async #join(): Promise<void> {
    while (!this.#left.signal.aborted) {
      const attempt = ++this.#attempt;
      const ifCurrent = (what: () => void) => {
        if (attempt === this.#attempt) what();
      };
      try {
        this.#member = await this.#ask("join", () =>
          this.#broker.join(this.#process, {
            assigned: (generation, starts) => ifCurrent(() => this.#assigned(generation, starts)),
            revoked: (generation) => ifCurrent(() => void this.#handOver(generation)),
          }),
        );
        return;
      } catch {
        for (const partition of this.#open) partition.lose("joining the group failed");
        await this.#closed([...this.#open]);
        await this.#pause();
      }
    }
  }

  #assigned(generation: number, starts: ReadonlyMap<number, Position | undefined>): void {
    if (this.#left.signal.aborted) return;
    for (const [number, start] of starts) {
      const partition: LogPartition = new LogPartition(
        number,
        {
          process: this.#process,
          broker: this.#broker,
          commit: (position) => this.#broker.commit(this.#member ?? 0, generation, number, position),
          end: "goes on",
          most: this.#most,
        },
        start,
      );
      const before = this.#open.filter((other) => other.number === number);
      this.#open.push(partition);
      void partition.closed.then(() => {
        this.#open = this.#open.filter((other) => other !== partition);
      });
      // Only when the last one of its name is let go.
      void Promise.all(before.map(({ closed }) => closed)).then(() => {
        this.#queue.push(partition);
        this.#wake();
      });
    }
  }

  async #handOver(generation: number): Promise<void> {
    const open = [...this.#open];
    for (const partition of open) partition.end();
    // Who is too slow gives up what is in flight, and stays: else two slow members would expel each other for ever.
    const cancel = this.#process.clock.after(this.#broker.rebalanceTimeout * 0.8, () => {
      for (const partition of open) partition.lose("what was read was not written within the rebalance timeout");
    });
    await this.#closed(open);
    cancel();
    const member = this.#member;
    if (member === undefined) return;
    for (let over = false; !over && !this.#left.signal.aborted;) {
      try {
        await this.#ask("hand over", () => this.#broker.handedOver(member, generation));
        over = true;
      } catch (error) {
        // The next heartbeat says what became of it.
        if (error instanceof StaleMemberError) return;
        await this.#pause();
      }
    }
  }

  async #closed(open: readonly LogPartition[]): Promise<void> {
    for (const partition of open) {
      const at = this.#queue.indexOf(partition);
      if (at >= 0) {
        this.#queue.splice(at, 1);
        await partition[Symbol.asyncDispose]();
      }
    }
    await Promise.all(open.map(({ closed }) => closed));
  }

  #beat(): void {
    this.#cancelHeartbeat = this.#process.clock.after(HEARTBEAT, () => {
      // Also while what was read is finished.
      this.#beat();
      const member = this.#member;
      if (member === undefined) return;
      this.#ask("heartbeat", () => this.#broker.heartbeat(member)).catch((error: unknown) => {
        if (error instanceof StaleMemberError && this.#member === member) void this.#expelled();
      });
    });
  }

  async #expelled(): Promise<void> {
    this.#member = undefined;
    const open = [...this.#open];
    for (const partition of open) partition.lose("the group has expelled this member");
    await this.#closed(open);
    await this.#join();
  }

  #ask<R>(what: string, effect: () => R): Promise<R> {
    return this.#process.ask(this.#broker.service, what, effect);
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => void this.#process.clock.after(PAUSE, resolve));
  }
}

/** Reads each partition to the end of its log, alone. */
export function wholeSource(process: Process, broker: LogBroker, most: () => number): Source {
  return {
    partitions: async function* () {
      for (const [number, { committed }] of broker.logs.entries()) {
        const commit = (position: Position) => broker.take(number, position, process);
        yield new LogPartition(number, { process, broker, commit, end: "ends", most }, committed);
      }
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
