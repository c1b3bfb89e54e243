import { SILENT } from "../contracts.ts";
import type { Plan } from "../pipeline/plan.ts";
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
  surroundings.out(flags.format === "dot" ? drawDot(task.id, plan, task.secrets) : drawMermaid(plan, task.secrets));
  return EXIT.done;
}
