import type { CheckpointSettings } from "../checkpoint-settings.ts";
import { SILENT } from "../contracts.ts";
import type { Plan } from "../pipeline/plan.ts";
import { keepsCheckpoints } from "../pipeline/state/open-checkpoints.ts";
import { whereText } from "./checkpoints/where.ts";
import { drawDot, drawMermaid } from "./drawing.ts";
import { EXIT } from "./exit-codes.ts";
import type { GraphFlags } from "./program.ts";
import { settingsOf } from "./settings-flags.ts";
import type { Surroundings } from "./surroundings.ts";
import { findTask, planOf, readTasks } from "./tasks.ts";

/** `millrace graph`. */
export async function graph(id: string, flags: GraphFlags, surroundings: Surroundings): Promise<number> {
  const { settings } = settingsOf(flags, surroundings);
  const task = findTask(await readTasks(settings), id);
  const plan: Plan = await planOf(task, SILENT, new AbortController().signal);
  const kept = keptText(plan, settings.checkpoint);
  surroundings.out(flags.format === "dot" ? drawDot(task.id, plan, kept, task.secrets) : drawMermaid(plan, kept, task.secrets));
  return EXIT.done;
}

/** What becomes of the plan's state. */
function keptText(plan: Plan, settings: CheckpointSettings): string {
  const steps = plan.steps.filter(({ stateful }) => stateful).map(({ name }) => name);
  if (steps.length === 0) return "keeps no state and needs no store";
  if (keepsCheckpoints(plan)) return `state of ${steps.join(", ")} in checkpoints, ${whereText(settings)}`;
  return `state of ${steps.join(", ")} in no checkpoint: positions are held back, and it is made anew from there`;
}
