import { defineModel } from "millrace";

/** Never answers for 1. */
export default defineModel({
  name: "hangs",
  version: "1",
  predict: (inputs: readonly number[]) => (inputs.includes(1) ? new Promise<number[]>(() => undefined) : inputs.slice()),
});
