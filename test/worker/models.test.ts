import assert from "node:assert/strict";
import { test } from "node:test";

import { countCall, countEnd, noModelStats, type ObservedModel, type ObservedVersion } from "../../src/model-stats.ts";
import { WorkerModels } from "../../src/worker/models.ts";

/** A model whose versions the test puts in and takes away. */
class FakeModel implements ObservedModel {
  readonly key = "/models/digits.ts {password: hunter22}";
  readonly kind = "threads";
  readonly list: ObservedVersion[];
  rows = 0;
  reason: string | undefined;
  refused: string | undefined;
  next: string | Error = "2";

  constructor(name = "digits") {
    this.list = [{ name, version: "1", stats: noModelStats() }];
  }

  versions = () => [...this.list];
  queued = () => this.rows;
  waits = () => this.reason;
  refusal = () => this.refused;

  async reload() {
    if (this.next instanceof Error) throw this.next;
    const next = { name: this.current.name, version: this.next, stats: noModelStats() };
    this.list.unshift(next);
    return next;
  }

  get current(): ObservedVersion {
    return this.list[0] as ObservedVersion;
  }
}

function opened() {
  const models = new WorkerModels((text) => text.replaceAll("hunter22", "[secret]"));
  const model = new FakeModel();
  return { models, model, close: models.add(model) };
}

test("what has changed since the last report is told, and nothing else", () => {
  const { models, model } = opened();
  const [first] = models.news();
  assert.deepEqual([first?.name, first?.version, first?.kind, first?.state], ["digits", "1", "threads", "current"]);
  assert.deepEqual(models.news(), []);
  countCall(model.current.stats, 8);
  model.rows = 3;
  const [second] = models.news();
  assert.deepEqual([second?.id, second?.queued, second?.stats.rows, second?.stats.inFlight], [first?.id, 3, 8, 1]);
  countEnd(model.current.stats, 0.1);
  assert.equal(second?.stats.inFlight, 1, "what was told stays as it was");
  assert.equal(models.news()[0]?.stats.inFlight, 0);
});

test("a model that tells its version with its first answer is told by that", () => {
  const { models, model } = opened();
  models.news();
  model.list[0] = { ...model.current, version: "7" };
  assert.deepEqual(
    models.news().map(({ id, version }) => [id, version]),
    [[1, "7"]],
  );
});

test("why a model can't work is told without secrets, and so is nothing of its key", () => {
  const { models, model } = opened();
  model.reason = "it is away, with the password hunter22";
  model.refused = "hunter22 is no model";
  const news = models.news();
  assert.equal(news[0]?.waits, "it is away, with the password [secret]");
  assert.equal(news[0]?.refusal, "[secret] is no model");
  assert.doesNotMatch(JSON.stringify(news), /hunter22/);
});

test("a version that another took the place of is told until its last call has ended, and once more", async () => {
  const { models, model } = opened();
  models.news();
  const old = model.current;
  countCall(old.stats, 1);
  assert.deepEqual(await models.reload("digits"), [{ kind: "threads", before: "1", version: "2" }]);
  const states = () => models.news().map(({ version, state }) => [version, state]);
  assert.deepEqual(states(), [
    ["1", "beside"],
    ["2", "current"],
  ]);
  model.list.pop();
  countEnd(old.stats, 1);
  assert.deepEqual(states(), [["1", "gone"]]);
  assert.deepEqual(states(), []);
});

test("a model that is closed is told of for the last time, with all that it counted", () => {
  const { models, model, close } = opened();
  models.news();
  countCall(model.current.stats, 5);
  close();
  countEnd(model.current.stats, 1);
  const [last, ...more] = models.news();
  assert.deepEqual([last?.state, last?.stats.rows, more], ["gone", 5, []]);
  assert.deepEqual(models.news(), []);
});

test("a model whose calls never end is forgotten in the end", () => {
  const { models, model, close } = opened();
  countCall(model.current.stats, 5);
  close();
  const last = Array.from({ length: 20 }, () => models.news())
    .flat()
    .at(-1);
  assert.equal(last?.state, "gone");
});

test("each copy of a model is loaded anew, whatever becomes of the others", async () => {
  const { models, model } = opened();
  model.next = new Error("no model for hunter22");
  models.add(new FakeModel());
  models.add(new FakeModel("other"));
  assert.deepEqual(await models.reload("digits"), [
    { kind: "threads", before: "1", error: "no model for [secret]" },
    { kind: "threads", before: "1", version: "2" },
  ]);
  assert.deepEqual(await models.reload("absent"), []);
});
