import { type Logger, SILENT } from "../../contracts.ts";
import { messageOf } from "../../errors.ts";
import type { Plan } from "../../pipeline/plan.ts";
import type { Manifest } from "../../pipeline/state/manifest.ts";
import { keepsCheckpoints } from "../../pipeline/state/open-checkpoints.ts";
import { misfitOf } from "../../pipeline/state/saved-checkpoint.ts";
import type { TaskSet } from "../../tasks/task.ts";
import { planOf } from "../tasks.ts";

/** Whether a checkpoint fits the pipeline of its task as it is now; `unknown` where there is no such task, or its plan can't be built. */
export interface Fit {
  readonly fits: "yes" | "no" | "unknown";
  readonly why?: string;
}

/** Asks of many checkpoints; each plan is built once. */
export class Fitting {
  readonly #tasks: TaskSet;
  readonly #logger: Logger;
  readonly #plans = new Map<string, Promise<Plan | string>>();

  constructor(tasks: TaskSet, logger: Logger = SILENT) {
    this.#tasks = tasks;
    this.#logger = logger;
  }

  async of(manifest: Manifest, task: string, signal: AbortSignal): Promise<Fit> {
    const plan = await this.#planOf(task, signal);
    if (typeof plan === "string") return { fits: "unknown", why: plan };
    if (!keepsCheckpoints(plan)) return { fits: "unknown", why: "its pipeline makes no checkpoints by now" };
    const misfit = misfitOf(manifest, plan.steps, undefined);
    return misfit === undefined ? { fits: "yes" } : { fits: "no", why: misfit.faults.map(({ what }) => what).join("; ") };
  }

  #planOf(id: string, signal: AbortSignal): Promise<Plan | string> {
    const known = this.#plans.get(id) ?? this.#build(id, signal);
    this.#plans.set(id, known);
    return known;
  }

  async #build(id: string, signal: AbortSignal): Promise<Plan | string> {
    const task = this.#tasks.valid.get(id);
    if (task === undefined) {
      const invalid = this.#tasks.invalid.find((one) => one.id === id);
      return invalid === undefined ? "there is no such task" : `its task is invalid: ${invalid.reason}`;
    }
    try {
      return await planOf(task, this.#logger, signal);
    } catch (error) {
      return `its plan can't be built: ${messageOf(error)}`;
    }
  }
}
