import assert from "node:assert/strict";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import { Inspector } from "../support/inspector.ts";
import { startMillrace, writeFiles } from "../support/millrace.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { until } from "../support/until.ts";
import { DOUBLER, PROJECT } from "./fixtures.ts";

const INSPECTORS = {
  "a flag of Node": { nodeFlags: ["--inspect-brk=0"] },
  NODE_OPTIONS: { env: { NODE_OPTIONS: "--inspect-brk=0" } },
};
for (const [how, started] of Object.entries(INSPECTORS))
  test(`by ${how}: a breakpoint on a line of a product's TypeScript is hit, shows local variables, and the run goes on`, async (t) => {
    const cwd = tempFolder(t);
    writeFiles(cwd, PROJECT);
    const child = startMillrace(["debug", "twice", "--input", "input.ndjson", "--output", "-"], { cwd, ...started });
    t.after(() => child.kill("SIGKILL"));
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on("data", (chunk: Buffer) => (stderr += chunk.toString()));
    const ended = new Promise<number | null>((resolve) => child.once("close", resolve));
    const address = await until("Node tells where its inspector listens", () => /ws:\/\/\S+/.exec(stderr)?.[0]);
    const inspector = await Inspector.connect(address);
    t.after(() => inspector.close());

    const line = DOUBLER.split("\n").findIndex((text) => text.includes("if (Number.isNaN(doubled))"));
    const url = pathToFileURL(join(cwd, "products/doubler/index.ts")).href;
    await inspector.call("Debugger.enable");
    await inspector.call("Debugger.setBreakpointByUrl", { url, lineNumber: line });
    await inspector.call("Runtime.runIfWaitingForDebugger");
    // Node pauses before the first line of the program.
    await inspector.paused();
    await inspector.call("Debugger.resume");

    for (const [device, doubled] of [
      ["a", 2],
      ["b", 4],
      ["c", 6],
    ]) {
      const [frame] = await inspector.paused();
      assert.ok(frame !== undefined);
      assert.equal(inspector.fileOf(frame), url);
      assert.equal(frame.location.lineNumber, line);
      assert.equal(await inspector.evaluate(frame, "doubled"), doubled);
      assert.equal(await inspector.evaluate(frame, "reading.device"), device);
      await inspector.call("Debugger.resume");
    }
    await until("the task has finished", () => /finished; in 3, out 3/.exec(stderr)?.[0]);
    // Node waits for its debugger to leave before it ends.
    inspector.close();
    assert.equal(await ended, 0, stderr);
    assert.equal(stdout.trim().split("\n").length, 3);
  });
