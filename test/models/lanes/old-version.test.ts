import assert from "node:assert/strict";
import { renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import { processes, threads } from "millrace";

import { openContext } from "../../support/open-context.ts";
import { tempFolder } from "../../support/temp-folder.ts";
import { until } from "../../support/until.ts";
import { call } from "../versions/versioned-place.ts";

const MODEL = `
import { defineModel } from "millrace";
import { by } from "./by.ts";

export default defineModel({
  version: "1",
  predict: (inputs: readonly string[]) => {
    if (inputs.includes("exit")) process.exit(3);
    return inputs.map((input) => \`\${input} by \${by}\`);
  },
});`;

for (const [place, open] of Object.entries({ threads, processes })) {
  test(`${place}: what takes the place of a dead one is of the same version, though the file is a broken one, or gone`, async (t) => {
    const folder = tempFolder(t);
    const file = join(folder, "model.ts");
    const write = (text: string) => {
      writeFileSync(`${file}.new`, text);
      renameSync(`${file}.new`, file);
    };
    write(MODEL);
    writeFileSync(join(folder, "by.ts"), 'export const by: string = "the first";');
    const context = openContext(t);
    const model = await open<(inputs: readonly string[]) => string[]>(pathToFileURL(file).href, { redeliver: 0 }).open(context, {
      step: "infer",
      batching: { maxSize: 8, maxDelay: 0, maxQueuedRows: 100, maxQueuedBytes: 1000 },
    });
    t.after(() => model[Symbol.asyncDispose]());
    using caller = model.caller({ name: "test", maxInFlight: 1, priority: 0 });
    const answer = async (input: string) => Array.from((await caller.predict([input], call())).outputs);
    assert.deepEqual(await answer("a"), ["a by the first"]);
    write("export default {");
    await until("the broken file is told of", () => context.lines.some((line) => line.startsWith("error a new version")));
    await assert.rejects(answer("exit"));
    assert.deepEqual(await answer("b"), ["b by the first"]);
    rmSync(file);
    await assert.rejects(answer("exit"));
    assert.deepEqual(await answer("c"), ["c by the first"]);
    assert.equal(model.identity.version, "1");
  });
}
