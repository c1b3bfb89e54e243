import { defineModel } from "millrace";

import { ledger } from "./ledger.ts";

/** Notes when it is loaded and unloaded. */
export default defineModel({
  version: "1",
  load: ({ settings }) => void ledger.push(`load ${JSON.stringify(settings)}`),
  predict: (inputs: readonly number[]) => inputs.map((input) => input + 1),
  unload: () => void ledger.push("unload"),
});
