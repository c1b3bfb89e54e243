import { defineModel } from "../../../src/index.ts";

interface Prepared {
  readonly sequence: number;
  readonly features: readonly number[];
}

/** What `storey.ts` has its processes do: the same as `predict` of peers/storey/flows.py. */
export default defineModel({
  predict: (inputs: readonly Prepared[]) =>
    inputs.map(({ sequence, features }) => ({ sequence, score: features.reduce((sum, value) => sum + value, 0) })),
});
