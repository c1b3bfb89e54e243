import assert from "node:assert/strict";
import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { pathToFileURL } from "node:url";

import type { ModelRegistry } from "../../src/model-stats.ts";
import { DEFAULT_MODEL_SETTINGS } from "../../src/model-stats.ts";
import { placed } from "../../src/models/place.ts";
import type { Place } from "../../src/models/place.ts";
import { Serving } from "../../src/models/serving.ts";
import { worker } from "../../src/models/worker.ts";
import { VirtualClock } from "../../src/virtual-clock.ts";
import { openContext } from "../support/open-context.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { until } from "../support/until.ts";
import { call, VersionedPlace } from "./versions/versioned-place.ts";

async function serve(t: TestContext, place: Place, clock?: VirtualClock) {
  const context = openContext(t, clock === undefined ? {} : { clock });
  const reasons: (string | undefined)[] = [];
  const waiting = (reason: string | undefined) => void reasons.push(reason);
  const serving = await Serving.load(place, { ...context, settings: DEFAULT_MODEL_SETTINGS, waiting });
  t.after(() => serving[Symbol.asyncDispose]());
  return { serving, reasons, lines: context.lines };
}

test("a reload loads the new version beside the old, which finishes its calls and is unloaded", async (t) => {
  const versions = new VersionedPlace();
  const [loading, answering] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  versions.loads.set(2, loading.promise);
  versions.calls.set(1, answering.promise);
  const { serving } = await serve(t, versions.place);
  const first = serving.send(["a"], call());
  const reloaded = serving.reload();
  const whileLoading = serving.send(["b"], call());
  loading.resolve();
  assert.deepEqual(await reloaded, { name: "versioned", version: "2" });
  assert.deepEqual(await serving.send(["c"], call()), { outputs: ["2:c"], identity: { name: "versioned", version: "2" } });
  assert.deepEqual(versions.log, ["load 1", "load 2"]);
  assert.deepEqual(
    serving.versions().map(({ version, stats }) => [version, stats.inFlight, stats.calls]),
    [
      ["2", 0, 1],
      ["1", 2, 2],
    ],
  );
  answering.resolve();
  assert.deepEqual([(await first).outputs, (await whileLoading).outputs], [["1:a"], ["1:b"]]);
  await until("the old version is unloaded", () => versions.log.includes("unload 1"));
  assert.deepEqual(
    serving.versions().map(({ version }) => version),
    ["2"],
  );
});

test("what asks for a reload while one is under way gets one more behind it, and only one", async (t) => {
  const versions = new VersionedPlace();
  const loading = Promise.withResolvers<void>();
  versions.loads.set(2, loading.promise);
  const { serving } = await serve(t, versions.place);
  const first = serving.reload();
  await until("the second version loads", () => versions.log.includes("load 2"));
  const others = [serving.reload(), serving.reload()];
  loading.resolve();
  assert.equal((await first).version, "2");
  assert.deepEqual(
    (await Promise.all(others)).map(({ version }) => version),
    ["3", "3"],
  );
  assert.equal(serving.identity.version, "3");
  assert.deepEqual(versions.log.slice(0, 4), ["load 1", "load 2", "unload 1", "load 3"]);
});

test("a version that can't be loaded leaves the old one serving, with one error", async (t) => {
  const versions = new VersionedPlace();
  versions.loads.set(2, Promise.reject(new Error("no weights")));
  versions.loads.get(2)?.catch(() => undefined);
  const { serving, lines } = await serve(t, versions.place);
  await assert.rejects(serving.reload(), /no weights/);
  assert.deepEqual((await serving.send(["a"], call())).outputs, ["1:a"]);
  assert.equal(serving.refusal, "no weights");
  assert.deepEqual(
    lines.filter((line) => line.startsWith("error")),
    ['error a new version of a model can\'t be loaded: the one that serves goes on {"model":"versioned@1","reason":"no weights"}'],
  );
  await serving.reload();
  assert.deepEqual([serving.identity.version, serving.refusal], ["3", undefined]);
});

test("what an old version does not answer in time, the new one does", async (t) => {
  const clock = new VirtualClock();
  const versions = new VersionedPlace();
  versions.calls.set(1, new Promise(() => undefined));
  const { serving, lines } = await serve(t, versions.place, clock);
  const answered = serving.send(["a", "b"], call());
  await serving.reload();
  await clock.advance(29_999);
  assert.deepEqual(versions.log, ["load 1", "load 2"]);
  await clock.advance(1);
  assert.deepEqual((await answered).outputs, ["2:a", "2:b"]);
  await until("the old version is unloaded", () => versions.log.includes("unload 1"));
  assert.match(lines.join("\n"), /has not answered within 30 s/);
});

test("an old version that hangs takes no room from the new one", async (t) => {
  const versions = new VersionedPlace();
  versions.calls.set(1, new Promise(() => undefined));
  let reload: () => Promise<unknown> = () => Promise.resolve();
  const models: ModelRegistry = {
    add: (observed) => {
      reload = () => observed.reload();
      return () => undefined;
    },
  };
  const batching = { maxSize: 4, maxDelay: 0, maxQueuedRows: 100, maxQueuedBytes: 1000 };
  const model = await placed(versions.place).open({ ...openContext(t), models }, { step: "infer", batching });
  t.after(() => model[Symbol.asyncDispose]());
  using caller = model.caller({ name: "test", maxInFlight: 20, priority: 0 });
  const hanging = Array.from({ length: 4 }, () => caller.predict(["hangs"], call()));
  const waiting = caller.predict(["waits"], call());
  await reload();
  assert.deepEqual((await waiting).outputs, ["2:waits"]);
  const more = await Promise.all(Array.from({ length: 4 }, (_, n) => caller.predict([n], call())));
  assert.deepEqual(
    more.flatMap(({ outputs }) => Array.from(outputs)),
    ["2:0", "2:1", "2:2", "2:3"],
  );
  for (const answer of hanging) answer.catch(() => undefined);
});

test("why a version can't work is heard of the one that serves alone", async (t) => {
  const said: ((reason: string | undefined) => void)[] = [];
  const { place } = new VersionedPlace();
  const { serving, reasons } = await serve(t, {
    ...place,
    load: async (context) => {
      said.push((reason) => context.waiting(reason));
      if (said.length === 2) context.waiting("2 is away");
      return await place.load(context);
    },
  });
  said[0]?.("1 is away");
  assert.deepEqual(reasons, ["1 is away"]);
  await serving.reload();
  said[0]?.("1 is still away");
  said[1]?.(undefined);
  assert.deepEqual(reasons, ["1 is away", "2 is away", undefined]);
});

function write(file: string, text: string): void {
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
}

const scale = (factor: number) => `
  let loaded = 0;
  export default {
    load() { loaded += 1; },
    predict: (inputs) => inputs.map((input) => input * ${factor} * loaded),
    unload() { loaded = Number.NaN; },
  };`;

test("a model in the worker is loaded anew when its file changes, as a module of its own", async (t) => {
  const file = join(tempFolder(t), "scale.js");
  write(file, scale(2));
  const context = openContext(t);
  const spec = worker<(inputs: readonly number[]) => number[]>(pathToFileURL(file).href);
  const model = await spec.open(context, {
    step: "infer",
    batching: { maxSize: 8, maxDelay: 0, maxQueuedRows: 100, maxQueuedBytes: 1000 },
  });
  t.after(() => model[Symbol.asyncDispose]());
  using caller = model.caller({ name: "test", maxInFlight: 1, priority: 0 });
  const answer = async () => Array.from((await caller.predict([1, 2], call())).outputs);
  assert.deepEqual(await answer(), [2, 4]);
  const { version } = model.identity;
  write(file, scale(3));
  await until("the new file serves", async () => (await answer())[0] === 3);
  assert.notEqual(model.identity.version, version);
  const errors = () => context.lines.filter((line) => line.startsWith("error")).length;
  write(file, "export default {");
  await until("the broken file is told of", () => errors() === 1);
  assert.deepEqual(await answer(), [3, 6]);
  // Back to what serves, and then to something new: the broken one is told of once.
  write(file, scale(3));
  write(file, scale(4));
  await until("the next file serves", async () => (await answer())[0] === 4);
  assert.equal(errors(), 1);
});
