import { defineModel } from "millrace";

/** Doubles numbers. */
export default defineModel({
  name: "double",
  version: "1",
  predict: (inputs: readonly number[]) => inputs.map((input) => input * 2),
});
