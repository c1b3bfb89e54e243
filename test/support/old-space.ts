import v8 from "node:v8";
import vm from "node:vm";

v8.setFlagsFromString("--expose-gc");
const collect = vm.runInNewContext("gc") as (options?: { readonly type: "minor" }) => void;

/** Bytes of what V8 keeps until its next full collection. */
function oldBytes(): number {
  return v8
    .getHeapSpaceStatistics()
    .filter(({ space_name: name }) => name === "old_space")
    .reduce((bytes, { space_used_size: used }) => bytes + used, 0);
}

/** A text that takes up its length in V8's heap: a buffer's bytes would be elsewhere. */
export function textOnHeap(length: number): string {
  return Array.from({ length }, (_, index) => index % 10).join("");
}

/**
 * How many bytes V8's small collections keep of what some work makes that leaves nothing behind; code that is compiled meanwhile counts, a megabyte or two.
 * @param work to be run twice; it must take more than a turn of the event loop
 */
export async function bytesKept(work: () => Promise<unknown>): Promise<number> {
  await work();
  const underWay = work();
  await new Promise((resolve) => void setImmediate(resolve));
  // What is under way now becomes old, so that a chain has where to begin.
  collect();
  const before = oldBytes();
  await underWay;
  collect({ type: "minor" });
  collect({ type: "minor" });
  return oldBytes() - before;
}
