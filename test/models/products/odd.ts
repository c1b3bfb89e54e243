import { defineModel, failed } from "millrace";

/** Refuses odd numbers with errors of its own. */
export default defineModel({
  version: "1",
  predict: (inputs: readonly number[]) => inputs.map((n) => (n % 2 === 0 ? n : failed(new Error(`${n} is odd`)))),
});
