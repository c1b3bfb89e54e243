import { defineModel } from "../../../src/index.ts";

interface Predicted {
  readonly sequence: number;
  readonly score: number;
}

/** What `storey.ts` has its threads do: the same as `postprocess` of peers/storey/flows.py. */
export default defineModel({
  predict: (inputs: readonly Predicted[]) => inputs.map(({ sequence, score }) => ({ sequence, alarm: score > 40 })),
});
