import { systemClock } from "../../src/clock.ts";
import type { OpenContext } from "../../src/contracts.ts";
import { SILENT } from "../../src/contracts.ts";

/** A context for an instance of a task `test` without connections. */
export function bareContext(over: Partial<OpenContext> = {}): OpenContext {
  return {
    task: { id: "test", product: "test", instance: 0, instances: 1 },
    connections: {
      kafka: { brokers: [], client: "platformatic", ssl: false, sasl: undefined },
      nats: { servers: [], credentials: undefined },
      redis: { url: "" },
    },
    shared: { lease: () => Promise.reject(new Error("nothing is shared here")) },
    logger: SILENT,
    clock: systemClock,
    signal: new AbortController().signal,
    mode: "run",
    waiting: () => undefined,
    ...over,
  };
}
