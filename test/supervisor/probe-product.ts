/** A product that counts, and can misbehave in every way that a product can. The tests copy it into a product folder. */
import { spawnSync } from "node:child_process";
import { appendFileSync } from "node:fs";

import type { Batch, Event, SinkSpec, SourceSpec } from "millrace";
import { DataError, defineProduct, from, InfrastructureError, NotReadyError, z } from "millrace";

const config = z.strictObject({
  does: z.string().default("nothing"),
  at: z.number().default(3),
  count: z.number().optional(),
  every: z.number().default(20),
  out: z.string(),
});
type Config = z.output<typeof config>;

const hoard: unknown[] = [];

/** What it does at the event `at`. */
const misdeeds: Record<string, () => void> = {
  nothing: () => undefined,
  throw: () => {
    throw new Error("no such number");
  },
  loop: () => {
    for (;;) hoard.length = 0;
  },
  exit: () => process.exit(3),
  abort: () => process.abort(),
  kill: () => process.kill(process.pid, "SIGKILL"),
  print: () => console.log("what a number"),
  disconnect: () => process.disconnect(),
  shoot: () => void spawnSync("kill", ["-9", String(process.pid)]),
  reject: () => void Promise.reject(new Error("hunter22 was rejected")),
  talk: () => void process.send?.(null),
  timer: () => void setTimeout(() => misdeeds["throw"]?.(), 1),
};

function count({ does, every, count: limit, at }: Config): SourceSpec<number> {
  return {
    kind: "count",
    description: {},
    finite: limit !== undefined,
    timestamps: true,
    partitioned: false,
    async open(context) {
      if (does === "missing") throw new NotReadyError("there is no topic numbers");
      if (does === "away") throw new InfrastructureError("the broker at redis://user:geheim@host is away");
      if (does === "waits") context.waiting("the broker is away");
      const origin = { system: "count", name: "numbers", partition: 0 };
      const event = (offset: number): Event<number> => ({
        value: offset,
        key: undefined,
        time: offset,
        headers: undefined,
        origin,
        offset,
        watermark: offset,
        size: 1,
      });
      const ended = Promise.withResolvers<void>();
      return {
        async *partitions(stop) {
          const signal = AbortSignal.any([]);
          yield {
            name: "numbers/0",
            signal,
            async *read(): AsyncGenerator<Batch<number>> {
              for (let n = 0; n < (limit ?? Infinity) && !stop.aborted; n++) {
                await new Promise((resolve) => setTimeout(resolve, every));
                yield { events: [event(n)], position: n + 1, watermark: n };
              }
              ended.resolve();
            },
            commit: async () => undefined,
            [Symbol.asyncDispose]: async () => undefined,
          };
          stop.addEventListener("abort", () => ended.resolve());
          if (!stop.aborted) await ended.promise;
        },
        lag: () => at,
        [Symbol.asyncDispose]: async () => undefined,
      };
    },
  };
}

function lines({ out, does }: Config): SinkSpec {
  return {
    kind: "lines",
    description: {},
    async open() {
      return {
        async write(events, signal) {
          if (does === "stall" && Number(events[0]?.value) >= 3) {
            await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error)));
          }
          appendFileSync(out, events.map(({ value }) => `${String(value)}\n`).join(""));
        },
        [Symbol.asyncDispose]: async () => undefined,
      };
    },
  };
}

export default defineProduct({
  name: "probe",
  config,
  pipeline: (context) => {
    const { does, at } = context.config;
    return from(count(context.config))
      .map((n) => {
        if (does === "leak") hoard.push(Buffer.alloc(4 * 1024 * 1024, 1));
        if (does === "drop") throw new DataError("map", undefined, new Error("dropped"));
        if (n === at) misdeeds[does]?.();
        return n;
      })
      .to(lines(context.config));
  },
});
