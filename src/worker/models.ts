import { messageOf } from "../errors.ts";
import type { ModelRegistry, ModelStats, ObservedModel, ObservedVersion } from "../model-stats.ts";
import type { ModelReport, ReloadOutcome } from "./messages.ts";

/** One version of one copy of a model, from when it is first seen until its last numbers were told. */
interface Entry {
  readonly id: number;
  readonly model: ObservedModel;
  version: ObservedVersion;
  state: ModelReport["state"];
  told: ModelReport | undefined;
}

/** How many reports a version that is gone is still looked at: calls may be under way in it. */
const LINGERS = 10;

/**
 * The models of a worker process: what is told of them to the supervisor, and what it asks of them.
 * Their keys are never told, since they hold what a product gave as settings.
 */
export class WorkerModels implements ModelRegistry {
  readonly #models = new Set<ObservedModel>();
  /** By the numbers of a version, which are its own. */
  readonly #entries = new Map<ModelStats, Entry>();
  /** Of versions that are gone: how often they are still looked at. */
  readonly #lingering = new Map<Entry, number>();
  readonly #shown: (text: string) => string;
  #lastId = 0;

  /** @param shown takes secrets out of a text that others will see */
  constructor(shown: (text: string) => string) {
    this.#shown = shown;
  }

  add(model: ObservedModel): () => void {
    this.#models.add(model);
    this.#look();
    return () => {
      this.#look();
      this.#models.delete(model);
    };
  }

  /** What differs from what was last told. */
  news(): readonly ModelReport[] {
    this.#look();
    const news: ModelReport[] = [];
    for (const [stats, entry] of this.#entries) {
      const left = this.#lingering.get(entry);
      const isOver = left !== undefined && (left <= 0 || stats.inFlight === 0);
      if (isOver) {
        this.#entries.delete(stats);
        this.#lingering.delete(entry);
      } else if (left !== undefined) this.#lingering.set(entry, left - 1);
      const report = this.#report(entry, isOver ? "gone" : entry.state);
      if (entry.told !== undefined && isSame(entry.told, report)) continue;
      entry.told = report;
      news.push(report);
    }
    return news;
  }

  /**
   * Loads each copy of the models of that name anew, one after the other.
   * @returns what became of each; nothing where there is none of that name
   */
  async reload(name: string): Promise<readonly ReloadOutcome[]> {
    const outcomes: ReloadOutcome[] = [];
    const asked = [...this.#models].filter((model) => model.versions()[0]?.name === name);
    for (const model of asked) {
      const { kind } = model;
      const before = model.versions()[0]?.version ?? "";
      try {
        const { version } = await model.reload();
        outcomes.push({ kind, before, version });
      } catch (error) {
        outcomes.push({ kind, before, error: this.#shown(messageOf(error)) });
      }
    }
    return outcomes;
  }

  /** Takes in which versions there are. */
  #look(): void {
    const seen = new Set<ModelStats>();
    for (const model of this.#models) {
      for (const [index, version] of model.versions().entries()) {
        seen.add(version.stats);
        const state = index === 0 ? "current" : "beside";
        const entry = this.#entries.get(version.stats);
        if (entry === undefined) this.#entries.set(version.stats, { id: ++this.#lastId, model, version, state, told: undefined });
        // A model that is elsewhere may tell its version with its first answer.
        else Object.assign(entry, { state, version });
      }
    }
    for (const [stats, entry] of this.#entries) {
      if (seen.has(stats)) this.#lingering.delete(entry);
      else if (!this.#lingering.has(entry)) {
        entry.state = "beside";
        this.#lingering.set(entry, LINGERS);
      }
    }
  }

  #report({ id, model, version }: Entry, state: ModelReport["state"]): ModelReport {
    const { name, version: number, stats } = version;
    const isCurrent = state === "current";
    return {
      id,
      kind: model.kind,
      name,
      version: number,
      state,
      queued: isCurrent ? model.queued() : 0,
      waits: isCurrent ? this.#shownIfAny(model.waits()) : undefined,
      refusal: isCurrent ? this.#shownIfAny(model.refusal()) : undefined,
      stats: copyOf(stats),
    };
  }

  #shownIfAny(reason: string | undefined): string | undefined {
    return reason === undefined ? undefined : this.#shown(reason);
  }
}

/** The numbers as they are now: those that go on are the model's own. */
function copyOf(stats: ModelStats): ModelStats {
  const { batchSizes, queueTimes, predictTimes, errors } = stats;
  return { ...stats, batchSizes: [...batchSizes], queueTimes: [...queueTimes], predictTimes: [...predictTimes], errors: new Map(errors) };
}

function isSame(a: ModelReport, b: ModelReport): boolean {
  return (
    a.state === b.state &&
    a.version === b.version &&
    a.queued === b.queued &&
    a.waits === b.waits &&
    a.refusal === b.refusal &&
    a.stats.calls === b.stats.calls &&
    a.stats.inFlight === b.stats.inFlight &&
    a.stats.queueSeconds === b.stats.queueSeconds &&
    a.stats.restarts === b.stats.restarts
  );
}
