import type { ModelStats } from "../model-stats.ts";
import { noModelStats } from "../model-stats.ts";
import type { ModelFigures } from "../observability/model-metrics.ts";
import type { ModelReport } from "../worker/messages.ts";
import type { Worker } from "./model.ts";

/** Versions that are gone of which numbers are kept: each version that was ever loaded would be too many in the end. */
const MOST_GONE = 1000;

/**
 * What was counted of models, over all workers and restarts. Counts never fall: those of versions and workers that are gone
 * are added to the next ones of the same model, version and kind.
 */
export class ModelLedger {
  /** Of what is gone, by model, version and kind. The one that ended last is last. */
  readonly #past = new Map<string, ModelFigures>();

  /** Takes in a worker's report. */
  hear(worker: Worker, reports: readonly ModelReport[]): void {
    for (const report of reports) {
      worker.models.set(report.id, report);
      if (report.state === "gone") this.#bury(worker, report);
    }
  }

  /** Takes in that a worker is gone. */
  forget(worker: Worker): void {
    for (const report of worker.models.values()) this.#bury(worker, report);
  }

  /** By model, version and kind. */
  figures(workers: Iterable<Worker>): readonly ModelFigures[] {
    const all = new Map<string, ModelFigures>();
    for (const [label, past] of this.#past) all.set(label, { ...past, stats: addStats(noModelStats(), past.stats) });
    for (const worker of workers) {
      for (const report of worker.models.values()) {
        const figures = figuresOf(all, report);
        addStats(figures.stats, report.stats);
        figures.queued += report.queued;
        figures.waiting += report.waits === undefined ? 0 : 1;
      }
    }
    return [...all.values()];
  }

  #bury(worker: Worker, report: ModelReport): void {
    worker.models.delete(report.id);
    const figures = figuresOf(this.#past, report);
    addStats(figures.stats, { ...report.stats, inFlight: 0 });
    const label = labelOf(report);
    this.#past.delete(label);
    this.#past.set(label, figures);
    if (this.#past.size <= MOST_GONE) return;
    const [oldest] = this.#past.keys();
    if (oldest !== undefined) this.#past.delete(oldest);
  }
}

/** A model of a worker as `/api/models` shows it. */
export interface ModelView {
  readonly name: string;
  /** How it is run: `worker`, `threads`, `http` … */
  readonly kind: string;
  /** The number of its worker. */
  readonly worker: number;
  readonly pid: number | undefined;
  readonly version: string;
  /** `current`: what answers; `beside`: another that has calls. */
  readonly state: "current" | "beside";
  /** Why it can't work now; absent when it can. */
  readonly reason?: string;
  /** Why a newer version could not be loaded, so that this one goes on; absent when there is none such. */
  readonly refusal?: string;
  readonly calls: number;
  readonly rows: number;
  readonly inFlight: number;
  /** Rows that wait for their turn. */
  readonly queued: number;
  /** Over all calls. */
  readonly queueSeconds: number;
  /** Over all calls. */
  readonly predictSeconds: number;
  readonly restarts: number;
  /** Failed calls by the class of the error. */
  readonly errors: Readonly<Record<string, number>>;
}

/** The models of all workers, since each was loaded. */
export function viewModels(workers: Iterable<Worker>): readonly ModelView[] {
  return [...workers].flatMap((worker) => [...worker.models.values()].flatMap((report) => viewModel(worker, report)));
}

function viewModel({ number, pid }: Worker, report: ModelReport): readonly ModelView[] {
  const { name, kind, version, state, waits, refusal, queued, stats } = report;
  if (state === "gone") return [];
  const { calls, rows, inFlight, queueSeconds, predictSeconds, restarts, errors } = stats;
  const numbers = { calls, rows, inFlight, queued, queueSeconds, predictSeconds, restarts, errors: Object.fromEntries(errors) };
  const why = { ...(waits === undefined ? {} : { reason: waits }), ...(refusal === undefined ? {} : { refusal }) };
  return [{ name, kind, worker: number, pid, version, state, ...why, ...numbers }];
}

function labelOf({ name, version, kind }: { readonly name: string; readonly version: string; readonly kind: string }): string {
  return JSON.stringify([name, version, kind]);
}

function figuresOf(all: Map<string, ModelFigures>, report: ModelReport): ModelFigures {
  const label = labelOf(report);
  const known = all.get(label);
  if (known !== undefined) return known;
  const { name, version, kind } = report;
  const figures: ModelFigures = { name, version, kind, stats: noModelStats(), queued: 0, waiting: 0 };
  all.set(label, figures);
  return figures;
}

function addStats(sum: ModelStats, more: ModelStats): ModelStats {
  sum.calls += more.calls;
  sum.rows += more.rows;
  sum.inFlight += more.inFlight;
  sum.queueSeconds += more.queueSeconds;
  sum.predictSeconds += more.predictSeconds;
  sum.restarts += more.restarts;
  addBuckets(sum.batchSizes, more.batchSizes);
  addBuckets(sum.queueTimes, more.queueTimes);
  addBuckets(sum.predictTimes, more.predictTimes);
  for (const [name, count] of more.errors) sum.errors.set(name, (sum.errors.get(name) ?? 0) + count);
  return sum;
}

function addBuckets(sum: number[], more: readonly number[]): void {
  for (let bucket = 0; bucket < sum.length; bucket++) sum[bucket] = (sum[bucket] as number) + (more[bucket] ?? 0);
}
