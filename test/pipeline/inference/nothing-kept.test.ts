import assert from "node:assert/strict";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";

import { systemClock } from "../../../src/clock.ts";
import type { RunContext } from "../../../src/contracts.ts";
import { callPolicy } from "../../../src/pipeline/call.ts";
import { noCounts } from "../../../src/pipeline/counters.ts";
import { ModelAnswerer } from "../../../src/pipeline/inference/rows.ts";
import { bytesKept, textOnHeap } from "../../support/old-space.ts";
import { eventOf } from "../../support/open-context.ts";

test("events that are answered are not kept until V8's next full collection", async () => {
  const run = { clock: systemClock, signal: new AbortController().signal, counters: noCounts() } as unknown as RunContext;
  const ask = async (events: readonly unknown[]) => {
    await turn();
    return { outputs: events.map(() => 1), identity: undefined };
  };
  await using answerer = new ModelAnswerer(callPolicy("infer", {}), { ask, [Symbol.dispose]: () => undefined }, run);
  const answer = async () => {
    for (let n = 0; n < 1000; n++) {
      const event = { ...eventOf(0, n), key: textOnHeap(4000) };
      await answerer.answer([event], [0]);
    }
  };
  const kept = await bytesKept(() => Promise.all([answer(), answer(), answer(), answer()]));
  assert(kept < 5_000_000, `${kept} bytes are kept, of 16,000,000 of keys`);
});
