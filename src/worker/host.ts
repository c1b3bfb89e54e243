import { setImmediate as turn } from "node:timers/promises";

import type { Logger } from "../contracts.ts";
import type { Logs } from "../observability/logs.ts";
import type { Assignment, FromWorker, RunId, RunStats, ToWorker } from "./messages.ts";
import type { WorkerModels } from "./models.ts";
import type { ProductCode } from "./product-code.ts";
import { Run, type RunSurroundings } from "./run.ts";
import type { Watchdog } from "./watchdog.ts";

/** What a host needs of its process. */
export interface HostOptions extends RunSurroundings {
  readonly logs: Logs;
  readonly code: ProductCode;
  readonly models: WorkerModels;
  readonly watchdog: Watchdog;
  readonly send: (message: FromWorker) => void;
  /** Milliseconds without a report until the supervisor replaces this process. */
  readonly heartbeat: number;
}

/** How often a worker reports: milliseconds, or this part of the heartbeat if that is less. */
const REPORT = 1000;
const REPORTS = 5;

/** Runs instances of tasks in this process as the supervisor tells it to. */
export class Host {
  readonly #options: HostOptions;
  readonly #runs = new Map<RunId, Run>();
  readonly #logger: Logger;

  constructor(options: HostOptions) {
    this.#options = options;
    this.#logger = options.logger;
    setInterval(() => this.#report(), Math.min(REPORT, options.heartbeat / REPORTS));
  }

  /** Does what a message says. */
  async obey(message: ToWorker): Promise<void> {
    if (message.type === "start") await this.#start(message.assignments);
    if (message.type === "stop") for (const run of message.runs) this.#runs.get(run)?.stop();
    if (message.type === "reload-models") await this.#reloadModels(message.request, message.name);
    if (message.type === "abandon") for (const run of message.runs) this.#runs.get(run)?.abandon();
  }

  async #reloadModels(request: number, name: string): Promise<void> {
    const { models, send } = this.#options;
    send({ type: "reloaded", request, outcomes: await models.reload(name) });
  }

  /** One after the other, with a turn of the event loop between, so that many starts are no hang. */
  async #start(assignments: readonly Assignment[]): Promise<void> {
    const runs = assignments.map((assignment) => ({ assignment, run: this.#prepare(assignment) }));
    for (const { assignment, run } of runs) {
      void this.#run(assignment.run, run);
      await turn();
    }
  }

  #prepare(assignment: Assignment): Run {
    const { run: id, task } = assignment;
    const { send, logs, code } = this.#options;
    logs.hide(task.secrets);
    code.use(task.folder, task.code);
    const run = new Run(assignment, this.#options, {
      built: (finite) => send({ type: "built", run: id, finite }),
      running: () => send({ type: "running", run: id }),
      waiting: (reason) => send({ type: "waiting", run: id, reason }),
    });
    this.#runs.set(id, run);
    return run;
  }

  async #run(id: RunId, run: Run): Promise<void> {
    const end = await run.start();
    this.#runs.delete(id);
    this.#options.send({ type: "ended", run: id, end, stats: run.stats() });
    if (end.how !== "failed") this.#logger.debug({ run: id }, `a run has ${end.how}`);
  }

  #report(): void {
    const stats: [RunId, RunStats][] = [];
    for (const [id, run] of this.#runs) {
      const news = run.news();
      if (news !== undefined) stats.push([id, news]);
    }
    const { watchdog, send, models } = this.#options;
    const rss = process.memoryUsage.rss();
    send({ type: "report", rss, loopLag: watchdog.takeLag(), inspected: watchdog.inspected(), stats, models: models.news() });
  }
}
