import assert from "node:assert/strict";
import { test } from "node:test";

import type { ModelView } from "../../src/supervisor/model-ledger.ts";
import { ModelReloads } from "../../src/supervisor/model-reloads.ts";
import type { Worker } from "../../src/supervisor/model.ts";
import type { WorkerId } from "../../src/worker/messages.ts";

function reloads(patience?: number) {
  const workers = [1, 2, 3].map((id) => ({ id, number: id, pid: 100 + id, phase: id === 3 ? "starting" : "ready" }) as Worker);
  const sent: WorkerId[] = [];
  const surroundings = {
    fleet: { workers, modelViews: () => [{ name: "digits" } as ModelView] },
    send: (worker: WorkerId) => void sent.push(worker),
    ...(patience === undefined ? {} : { patience }),
  };
  return { sent, all: new ModelReloads(surroundings) };
}

test("every worker that is ready is asked, and the answer has what each says", async () => {
  const { sent, all } = reloads();
  const done = all.reload("digits");
  assert.deepEqual(sent, [1, 2]);
  all.hear(2, 1, [{ kind: "threads", before: "1", error: "no default export" }]);
  all.hear(1, 1, [{ kind: "threads", before: "1", version: "2" }]);
  assert.deepEqual(await done, {
    name: "digits",
    workers: [
      { worker: 1, pid: 101, kind: "threads", before: "1", version: "2" },
      { worker: 2, pid: 102, kind: "threads", before: "1", error: "no default export" },
    ],
  });
});

test("a worker without the model is none of the answer's", async () => {
  const { all } = reloads();
  const done = all.reload("digits");
  all.hear(1, 1, []);
  all.hear(2, 1, [{ kind: "threads", before: "1", version: "2" }]);
  assert.deepEqual(await done, { name: "digits", workers: [{ worker: 2, pid: 102, kind: "threads", before: "1", version: "2" }] });
});

test("a worker that ends or takes too long is told as such, and what it says later is of no other reload", async () => {
  const { all } = reloads(20);
  const done = all.reload("digits");
  assert.equal(await all.reload("digits"), "under-way");
  all.gone(1);
  assert.deepEqual(await done, {
    name: "digits",
    workers: [
      { worker: 1, pid: 101, error: "the worker has ended; its successor loads the model as it is now" },
      { worker: 2, pid: 102, error: "it is not loaded yet after 0.02 s, and goes on loading" },
    ],
  });
  const again = all.reload("digits");
  all.hear(2, 1, [{ kind: "threads", before: "1", version: "late" }]);
  for (const worker of [1, 2]) all.hear(worker, 2, [{ kind: "threads", before: "1", version: "2" }]);
  const answer = await again;
  assert.ok(typeof answer === "object");
  assert.deepEqual(
    answer.workers.map(({ version }) => version),
    ["2", "2"],
  );
});

test("what no worker has is unknown", async () => {
  assert.equal(await reloads().all.reload("absent"), "unknown");
});
