import type { Plan, PlannedStep } from "./plan.ts";

/**
 * What may be a mistake in a plan, though it can run.
 * @returns one sentence for each, naming the step
 */
export function planWarnings(plan: Plan): string[] {
  return [...keyWarnings(plan), ...stateWarnings(plan)];
}

/** One step without `memory` takes the checkpoints away from all others: nobody asks for that. */
function stateWarnings({ steps }: Plan): string[] {
  const holding = steps.filter(({ stateful, memory }) => stateful && memory === undefined);
  return holding.map(
    ({ name }) =>
      `step "${name}" keeps state and does not save it, so the whole pipeline makes no checkpoints: positions are held back to the first record ` +
      `of what is kept, and all is read again from there after each restart. Give it memory: via(name, step, { memory: "…" }), and save with run.memory`,
  );
}

function keyWarnings(plan: Plan): string[] {
  if (!plan.source.partitioned) return [];
  const warnings: string[] = [];
  let keyedBy: PlannedStep | undefined;
  for (const step of plan.steps) {
    if (step.kind === "keyBy") keyedBy = step.description["colocated"] === true ? undefined : step;
    if (!step.stateful || keyedBy === undefined || step.description["per"] === "all") continue;
    warnings.push(
      `step "${step.name}" keeps state by the key that "${keyedBy.name}" sets, but each partition of the ${plan.source.kind} source is worked on by ` +
        `itself: events of one key meet only if they come from one partition. If the records are partitioned by that key, ` +
        `say so with keyBy(fn, { colocated: true })`,
    );
  }
  return warnings;
}
