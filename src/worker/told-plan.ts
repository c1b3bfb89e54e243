import { systemClock } from "../clock.ts";
import type { Partition, Source, SourceSpec } from "../contracts.ts";
import type { Plan } from "../pipeline/plan.ts";

/**
 * A source finds out only when it is asked for partitions that a topic is missing, and may have none for a while when nothing
 * is. What refused nothing for so long works. Milliseconds.
 */
const REFUSES_WITHIN = 1000;

/** The same plan; calls `works` once its sinks and its source are open and the source gives partitions or waits for some. */
export function tellingWhenItWorks(plan: Plan, works: () => void): Plan {
  const source: SourceSpec = {
    ...plan.source,
    open: async (context, options) => new ToldSource(await plan.source.open(context, options), works),
  };
  return { ...plan, source };
}

class ToldSource implements Source {
  readonly #source: Source;
  readonly #works: () => void;

  constructor(source: Source, works: () => void) {
    this.#source = source;
    this.#works = works;
  }

  async *partitions(stop: AbortSignal): AsyncGenerator<Partition, void, undefined> {
    let told = false;
    const tell = () => {
      if (!told) this.#works();
      told = true;
    };
    const cancel = systemClock.after(REFUSES_WITHIN, tell);
    try {
      for await (const partition of this.#source.partitions(stop)) {
        tell();
        yield partition;
      }
    } finally {
      cancel();
    }
  }

  lag(): number | undefined {
    return this.#source.lag?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#source[Symbol.asyncDispose]();
  }
}
