import { existsSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";

import { defineModel } from "millrace";

export default defineModel({
  name: "doubled",
  version: "1",
  async load({ settings, signal }) {
    const { gate } = settings as { readonly gate?: string };
    if (gate === undefined) return;
    while (!existsSync(gate)) await delay(20, undefined, { signal });
  },
  predict: (inputs: readonly number[]) => inputs.map((n) => n * 2),
});
