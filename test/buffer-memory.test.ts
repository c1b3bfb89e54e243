import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

/** Makes 1 GB of buffers, beside a heap of 200 MB that a full collection has to look through. @returns how many full ones there were */
const PROGRAM = `
  import { PerformanceObserver, constants } from "node:perf_hooks";
  if (process.argv[1] === "counted") (await import(process.argv[2])).countBuffersWithHeap();
  const kept = Array.from({ length: 2_000_000 }, (_, index) => ({ index, text: String(index) }));
  let full = 0;
  const observer = new PerformanceObserver((list) => {
    for (const { detail } of list.getEntries()) if (detail.kind === constants.NODE_PERFORMANCE_GC_MAJOR) full += 1;
  });
  observer.observe({ entryTypes: ["gc"] });
  for (let round = 0; round < 4000; round++) {
    Buffer.allocUnsafeSlow(256 * 1024);
    if (round % 100 === 0) await new Promise((resolve) => setImmediate(resolve));
  }
  await new Promise((resolve) => setImmediate(resolve));
  console.log(full, kept.length);
`;

async function run(how: "counted" | "as by default"): Promise<{ readonly full: number; readonly said: string }> {
  const { stdout, stderr } = await promisify(execFile)(process.execPath, [
    "--input-type=module",
    "--eval",
    PROGRAM,
    how,
    import.meta.resolve("../src/buffer-memory.ts"),
  ]);
  return { full: Number(stdout.split(" ")[0]), said: stderr };
}

test("buffers begin a full collection by the size of the heap: seldom beside a large one, and V8 knows the flag", async () => {
  const [counted, plain] = [await run("counted"), await run("as by default")];
  assert.equal(counted.said, "");
  assert.ok(counted.full * 2 < plain.full, `${counted.full} full collections, and ${plain.full} by default`);
});
