import { defineModel } from "millrace";

/** Breaks the rule that inputs must not be changed: takes the last one away, and answers for the others. */
export default defineModel({
  version: "1",
  predict: (inputs: readonly number[]) => {
    (inputs as number[]).pop();
    return inputs;
  },
});
