import assert from "node:assert/strict";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { setImmediate as turn } from "node:timers/promises";
import { pathToFileURL } from "node:url";

import type { Event } from "millrace";
import { from, memorySink, memorySource, processes, threads, worker } from "millrace";

import { createInstance } from "../../../src/pipeline/instance.ts";
import { openContext } from "../../support/open-context.ts";
import { tempFolder } from "../../support/temp-folder.ts";
import { until } from "../../support/until.ts";

/** The model of a version: it takes a moment, and says which version a row of a call had, and that of the call's first row. */
const model = (version: number) => `
  import { setTimeout as delay } from "node:timers/promises";
  let calls = 0;
  export default {
    version: "${version}",
    async predict(inputs) {
      const call = "${version}/" + ++calls;
      await delay(calls % 3);
      return inputs.map((input) => ({ input, call }));
    },
  };`;

for (const [place, open] of Object.entries({ worker, threads, processes })) {
  test(`${place}: nothing is lost, repeated or reordered while versions change under load, and a call is of one version`, async (t) => {
    await changesUnderLoad(t, open);
  });
}

async function changesUnderLoad(t: TestContext, open: typeof worker | typeof threads | typeof processes): Promise<void> {
  const file = join(tempFolder(t), "model.js");
  const write = (text: string) => {
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  };
  write(model(1));
  const stop = new AbortController();
  let given = 0;
  async function* numbers() {
    while (!stop.signal.aborted) {
      for (let n = 0; n < 200; n++) yield { value: given++ };
      await turn();
    }
  }
  const sink = memorySink({ maxEvents: 10_000_000 });
  const spec = open<(inputs: readonly number[]) => { input: number; call: string }[]>(pathToFileURL(file).href);
  const plan = from(memorySource<number>(numbers()))
    .infer(spec, { maxInFlight: 4, batch: { maxSize: 50 } })
    .to(sink);
  const context = openContext(t);
  const running = createInstance(plan, context).run(new AbortController().signal);
  try {
    const answers = (version: number) => until(`version ${version} answers`, () => versionOf(sink.events.at(-1)) === version);
    await answers(1);
    write(model(2));
    await answers(2);
    write("export default { predict: 1 };");
    await until("the broken file is told of", () => context.lines.some((line) => line.startsWith("error")));
    write(model(3));
    await answers(3);
    write(model(4));
    await answers(4);
  } finally {
    stop.abort();
    await running;
  }
  const results = sink.events.map(({ value }) => value as { input: number; call: string });
  assert.equal(results.length, given);
  assert.equal(
    results.findIndex(({ input }, index) => input !== index),
    -1,
  );
  assert.equal(
    sink.events.findIndex((event) => versionOf(event) !== Number((event.value as { call: string }).call.split("/")[0])),
    -1,
    "the header names what answered",
  );
  const versions = sink.events.map(versionOf);
  assert.deepEqual(new Set(versions), new Set([1, 2, 3, 4]));
}

function versionOf(event: Event | undefined): number {
  return Number(String(event?.headers?.[0]?.[1]).split("@")[1]);
}
