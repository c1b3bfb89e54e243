/** Draws a plan as text for Mermaid and for Graphviz, without the secrets that its task's config holds. */
import type { Description } from "../contracts.ts";
import type { Plan } from "../pipeline/plan.ts";
import { redact } from "../secrets.ts";

interface Node {
  readonly id: string;
  readonly role: "source" | "step" | "sink";
  /** The name, then one line for each setting. */
  readonly lines: readonly string[];
}

interface Drawing {
  readonly nodes: readonly Node[];
  readonly edges: readonly { readonly from: string; readonly to: string; readonly label: string | undefined }[];
}

/**
 * https://mermaid.js.org/syntax/flowchart.html
 * @param kept what becomes of the plan's state, as one line
 */
export function drawMermaid(plan: Plan, kept: string, secrets: readonly string[] = []): string {
  const { nodes, edges } = drawingOf(plan, secrets);
  const shapes = { source: ["([", "])"], step: ["[", "]"], sink: ["[(", ")]"] } as const;
  const lines = nodes.map(({ id, role, lines: text }) => {
    const [open, close] = shapes[role];
    return `  ${id}${open}"${text.map(mermaidText).join("<br/>")}"${close}`;
  });
  const arrows = edges.map(({ from, to, label }) => `  ${from} ${label === undefined ? "-->" : `-. ${label} .->`} ${to}`);
  return `flowchart LR\n  %% ${kept}\n${[...lines, ...arrows].join("\n")}\n`;
}

/**
 * https://graphviz.org/doc/info/lang.html
 * @param kept what becomes of the plan's state, as one line
 */
export function drawDot(name: string, plan: Plan, kept: string, secrets: readonly string[] = []): string {
  const { nodes, edges } = drawingOf(plan, secrets);
  const shapes = { source: "oval", step: "box", sink: "cylinder" } as const;
  const lines = nodes.map(({ id, role, lines: text }) => `  ${id} [shape=${shapes[role]}, label="${text.map(dotText).join("\\n")}"];`);
  const arrows = edges.map(({ from, to, label }) => `  ${from} -> ${to}${label === undefined ? "" : ` [style=dashed, label="${label}"]`};`);
  return `digraph "${dotText(name)}" {\n  rankdir=LR;\n  label="${dotText(kept)}";\n${[...lines, ...arrows].join("\n")}\n}\n`;
}

function drawingOf(plan: Plan, secrets: readonly string[]): Drawing {
  const settingsOf = (description: Description) => linesOf(description).map((line) => redact(line, secrets));
  const nodes: Node[] = [{ id: "source", role: "source", lines: [plan.source.kind, ...settingsOf(plan.source.description)] }];
  const edges: { from: string; to: string; label: string | undefined }[] = [];
  let last = "source";
  plan.steps.forEach((step, index) => {
    const id = `step${index + 1}`;
    const state = step.stateful ? [step.memory === undefined ? "holds positions back" : "keeps state"] : [];
    nodes.push({ id, role: "step", lines: [step.name, ...settingsOf(step.description), ...state] });
    edges.push({ from: last, to: id, label: undefined });
    if (step.side !== undefined) {
      nodes.push({ id: `side${index + 1}`, role: "sink", lines: [step.side.kind, ...settingsOf(step.side.description)] });
      edges.push({ from: id, to: `side${index + 1}`, label: step.kind === "infer" ? "shadow" : "late" });
    }
    last = id;
  });
  plan.sinks.forEach((sink, index) => {
    nodes.push({ id: `sink${index + 1}`, role: "sink", lines: [sink.kind, ...settingsOf(sink.description)] });
    edges.push({ from: last, to: `sink${index + 1}`, label: undefined });
  });
  return { nodes, edges };
}

function linesOf(description: Description): readonly string[] {
  return Object.entries(description).flatMap(([name, value]) => (value === undefined ? [] : [`${name}: ${value}`]));
}

/** In Mermaid a character is named by its number, between # and ;. */
function mermaidText(text: string): string {
  return text.replaceAll(/[^\p{L}\p{N} .,:/@_+*=()-]/gu, (character) => `#${character.codePointAt(0)};`);
}

function dotText(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll(/\r?\n/g, "\\n");
}
