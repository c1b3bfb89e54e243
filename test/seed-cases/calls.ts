import type { Clock } from "millrace";

/** One call of a case's function. */
export interface Call {
  readonly event: unknown;
  /** Milliseconds. */
  readonly began: number;
  readonly ended: number;
}

/** The calls of a case's function, in the order in which they began. */
export class Calls {
  readonly all: Call[] = [];
  clock: Clock | undefined;

  now(): number {
    return this.clock?.now() ?? 0;
  }

  /** Waits by the pipeline's clock. */
  async sleep(ms: number): Promise<void> {
    const { clock } = this;
    if (ms > 0 && clock !== undefined) {
      await new Promise<void>((resolve) => {
        clock.after(ms, resolve);
      });
    }
  }

  /** When calls were worked on elsewhere, by the clock of where that was. */
  readonly elsewhere: Omit<Call, "event">[] = [];

  /** The most that were under way at once. */
  get most(): number {
    const calls = this.elsewhere.length > 0 ? this.elsewhere : this.all;
    return Math.max(0, ...calls.map(({ began }) => calls.filter((other) => other.began <= began && other.ended > began).length));
  }

  /** Notes a call from its beginning to its end. */
  async noted<T>(event: unknown, call: () => Promise<T>): Promise<T> {
    const index = this.all.push({ event, began: this.now(), ended: Number.POSITIVE_INFINITY }) - 1;
    try {
      return await call();
    } finally {
      this.all[index] = { ...(this.all[index] as Call), ended: this.now() };
    }
  }

  /** Seconds between the end of an attempt and the next one with the same event, where there were any. */
  get waits(): readonly number[] {
    const events = [...new Set(this.all.map(({ event }) => event))];
    const waits = events.flatMap((event) => {
      const own = this.all.filter((call) => call.event === event);
      return own.slice(1).map(({ began }, index) => (began - (own[index]?.ended ?? 0)) / 1000);
    });
    return waits.filter((wait) => wait > 0);
  }
}
