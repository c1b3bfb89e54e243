import { setImmediate as turn } from "node:timers/promises";

/** Milliseconds of work on state until the event loop has a turn, for what else the process has to do. */
export const SLICE = 4;

/** Items between two looks at the clock. */
const LOOK_EVERY = 256;

/** Does something with each item, with turns of the event loop in between. */
export async function inSlices<A>(items: readonly A[], each: (item: A) => void): Promise<void> {
  let since = performance.now();
  for (let index = 0; index < items.length; index++) {
    each(items[index] as A);
    if (index % LOOK_EVERY !== LOOK_EVERY - 1 || performance.now() - since < SLICE) continue;
    await turn();
    since = performance.now();
  }
}
