/** Loaded into each process of a daemon: lets its clock be ahead of the machine's by what the file that MILLRACE_TEST_CLOCK names says, in milliseconds. */
import { readFileSync } from "node:fs";

const file = process.env["MILLRACE_TEST_CLOCK"] ?? "";
/** How long a reading of the file holds, in milliseconds. */
const HOLDS = 20;
const machine = Date.now.bind(Date);
let [ahead, readAt] = [0, Number.NEGATIVE_INFINITY];

Date.now = () => {
  const elapsed = performance.now();
  if (elapsed - readAt > HOLDS) {
    readAt = elapsed;
    ahead = Number(readFileSync(file, "utf8"));
  }
  return machine() + ahead;
};
