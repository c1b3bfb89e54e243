import assert from "node:assert/strict";
import { test } from "node:test";

import { drawDot, drawMermaid } from "../../src/cli/drawing.ts";
import type { SinkSpec, SourceSpec } from "../../src/contracts.ts";
import type { Plan } from "../../src/pipeline/plan.ts";

const never = () => Promise.reject(new Error("a drawing opens nothing"));
const source: SourceSpec = {
  kind: "kafka",
  description: { topic: 'a "b" <c>' },
  finite: false,
  timestamps: true,
  partitioned: true,
  open: never,
};
const sink = (name: string): SinkSpec => ({ kind: "file", description: { path: name, sync: undefined }, open: never });
const plan: Plan = {
  source,
  steps: [
    {
      name: "window",
      kind: "window",
      description: { size: "10s" },
      stateful: true,
      side: sink("late\\1"),
      work: { type: "transform", make: () => (batch) => batch },
    },
  ],
  sinks: [sink("a"), sink("b")],
};

test("Mermaid: every sink, a dashed arrow to the late one, characters with a meaning as numbers", () => {
  assert.equal(
    drawMermaid(plan, "kept somewhere"),
    `flowchart LR
  %% kept somewhere
  source(["kafka<br/>topic: a #34;b#34; #60;c#62;"])
  step1["window<br/>size: 10s<br/>holds positions back"]
  side1[("file<br/>path: late#92;1")]
  sink1[("file<br/>path: a")]
  sink2[("file<br/>path: b")]
  source --> step1
  step1 -. late .-> side1
  step1 --> sink1
  step1 --> sink2
`,
  );
});

test("what a shadow is written to is told apart from what comes late", () => {
  const [step] = plan.steps;
  assert.ok(step !== undefined);
  assert.match(drawMermaid({ ...plan, steps: [{ ...step, kind: "infer" }] }, ""), /^ {2}step1 -\. shadow \.-> side1$/m);
});

test("DOT: the same, with quotes and backslashes escaped", () => {
  assert.equal(
    drawDot('my "task"', plan, 'kept in "it"'),
    `digraph "my \\"task\\"" {
  rankdir=LR;
  label="kept in \\"it\\"";
  source [shape=oval, label="kafka\\ntopic: a \\"b\\" <c>"];
  step1 [shape=box, label="window\\nsize: 10s\\nholds positions back"];
  side1 [shape=cylinder, label="file\\npath: late\\\\1"];
  sink1 [shape=cylinder, label="file\\npath: a"];
  sink2 [shape=cylinder, label="file\\npath: b"];
  source -> step1;
  step1 -> side1 [style=dashed, label="late"];
  step1 -> sink1;
  step1 -> sink2;
}
`,
  );
});
