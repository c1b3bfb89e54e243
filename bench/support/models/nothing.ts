import { defineModel } from "../../../src/index.ts";

/** What `tracing.ts` asks: next to nothing, so that what is measured is the call. */
export default defineModel({ predict: (inputs: readonly number[]) => inputs });
