import assert from "node:assert/strict";
import { test } from "node:test";

import type { Batch } from "../../src/batch.ts";
import { from } from "../../src/pipeline/builder.ts";
import { planWarnings } from "../../src/pipeline/plan-warnings.ts";
import { fileSink } from "../../src/sinks/file.ts";
import { generatorSource } from "../../src/sources/generator.ts";

async function* same(input: AsyncIterable<Batch>) {
  yield* input;
}

test("a step that keeps state and does not save it is warned of: it takes the checkpoints away from the whole pipeline", () => {
  const planned = (options: { readonly stateful?: boolean; readonly memory?: string }) =>
    from(generatorSource())
      .via("mine", same, options)
      .to(fileSink({ path: "-" }));
  const [warning, ...more] = planWarnings(planned({ stateful: true }));
  assert.match(
    warning ?? "",
    /step "mine" keeps state and does not save it, so the whole pipeline makes no checkpoints: .* Give it memory/,
  );
  assert.deepEqual(more, []);
  assert.deepEqual(planWarnings(planned({ memory: "mine 1" })), []);
  assert.deepEqual(planWarnings(planned({})), []);
});
