import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import { test } from "node:test";

import { placeIn } from "../../src/worker/last-words.ts";
import type { LastWords } from "../../src/worker/messages.ts";

const MODULE = new URL("../../src/worker/last-words.ts", import.meta.url).href;

/** What a process says last that does `deed` for a task, after an await and a timer. */
async function lastWords(deed: string): Promise<{ words: LastWords[]; code: number | null; signal: string | null }> {
  const code = `import { executeFor, watchExits } from "${MODULE}";
    watchExits(() => undefined);
    executeFor("other", () => setTimeout(() => undefined, 60_000));
    executeFor("seven", async () => { await null; setTimeout(async () => { await null; ${deed} }, 1); });`;
  const child = spawn(process.execPath, ["--input-type=module", "--eval", code], {
    stdio: ["ignore", "ignore", "ignore", "ignore", "pipe"],
  });
  const exited = new Promise<[number | null, string | null]>((resolve) => child.on("exit", (...exit) => resolve(exit)));
  const said = await text(child.stdio[4] as Readable);
  const [exitCode, signal] = await exited;
  const words = said
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as LastWords);
  return { words, code: exitCode, signal };
}

test("a process says for whom it executed when it ends", async () => {
  const cases: [deed: string, why: LastWords["why"], what: RegExp, code: number | null, signal: string | null][] = [
    ["process.exit(3)", "exit", /^process\.exit\(3\) was called/, 3, null],
    ["throw new Error('boom')", "exception", /rejected promise that nothing awaited: boom/, 70, null],
    ["setTimeout(() => { throw new Error('bang') }, 1)", "exception", /exception that nothing caught: bang/, 70, null],
    ["throw new Proxy(new Error(), { get() { throw 1 } })", "exception", /something was thrown that can't be read/, 70, null],
    ["process.kill(process.pid, 'SIGKILL')", "signal", /process\.kill sent SIGKILL/, null, "SIGKILL"],
    [
      "process.on('SIGINT', () => {}); process.kill(process.pid, 2); process.kill(process.pid, 'SIGWINCH'); process.exit(4)",
      "exit",
      /exit/,
      4,
      null,
    ],
    ["throw new Error('x'.repeat(1e6))", "exception", /awaited: x{2000}… \(1000000 characters\)/, 70, null],
    ["process.abort()", "signal", /process\.abort\(\) was called/, null, "SIGABRT"],
    ["process.reallyExit(5)", "exit", /^process\.reallyExit\(\) was called/, 5, null],
    ["process.removeAllListeners('exit'); process.exit(6)", "exit", /^process\.reallyExit\(\) was called/, 6, null],
  ];
  await Promise.all(
    cases.map(async ([deed, why, what, code, signal]) => {
      const ended = await lastWords(deed);
      assert.equal(ended.words.length, 1, deed);
      assert.equal(ended.words[0]?.why, why);
      assert.equal(ended.words[0]?.task, "seven");
      assert.match(ended.words[0]?.what ?? "", what);
      assert.deepEqual([ended.code, ended.signal], [code, signal], deed);
    }),
  );
});

test("the place in a stack is the first outside Millrace and Node", () => {
  const own = new URL("../../src/pipeline/chain.ts", import.meta.url).href;
  const stack = `Error: x\n    at f (${own}:3:4)\n    at node:internal/x:1:2\n    at g (file:///products/a%20b/index.ts?code=1f:12:5)\n    at file:///z.ts:1:1`;
  assert.equal(placeIn(stack), " at /products/a b/index.ts:12");
  assert.equal(placeIn(undefined), "");
});
