import { defineModel } from "millrace";

export default defineModel({ name: "doubled", version: "1", predict: (inputs: readonly number[]) => inputs.map((n) => n * 2) });
