import { defineModel } from "millrace";

export default defineModel({ version: "1\n2", predict: (inputs: readonly number[]) => inputs });
