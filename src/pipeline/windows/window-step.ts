import type { Barrier, Batch, Event, Origin, Position } from "../../batch.ts";
import { END_OF_INPUT, NO_WATERMARK } from "../../batch.ts";
import type { Clock } from "../../clock.ts";
import type { RunContext, SinkSpec, Step } from "../../contracts.ts";
import { failureOf } from "../failure-desk.ts";
import { writeToSink } from "../sink-writes.ts";
import { ItemLog } from "../state/item-log.ts";
import { inSlices } from "../state/slices.ts";
import { StepState } from "../state/step-state.ts";
import { positionBefore } from "../truncated.ts";
import { TICK, withTimer } from "../with-timer.ts";
import { CountOrTimeWindows } from "./count-or-time-windows.ts";
import { CountWindows } from "./count-windows.ts";
import type { ReadyFold } from "./fold.ts";
import { PaneCodec } from "./pane-codec.ts";
import type { PaneLimits } from "./pane.ts";
import { NO_RESULT, Panes, WindowLimitError } from "./pane.ts";
import { SessionWindows } from "./session-windows.ts";
import type { WindowSpec } from "./spec.ts";
import { TimeWindows } from "./time-windows.ts";
import type { Grouping, Windows } from "./windows.ts";

/** A window step with everything checked and filled in. Lateness in milliseconds. */
export interface WindowPlan {
  readonly name: string;
  readonly spec: WindowSpec;
  readonly lateness: number;
  readonly late: SinkSpec | undefined;
  readonly grouping: Grouping;
  readonly fold: ReadyFold<unknown>;
  readonly holds: "values" | "fold";
  readonly limits: PaneLimits;
}

/** The most results in one batch, where many windows close together. */
const RESULTS_PER_BATCH = 1024;

/** Windows over the events of one partition; gives one result for each window when it closes. */
export function windowStep(plan: WindowPlan): Step<unknown, unknown> {
  return async function* (input, run) {
    const work = await beginWork(plan, run);
    if (plan.spec.time === "event") {
      for await (const batch of input) yield* work.take(batch);
      return;
    }
    for await (const batch of withTimer(input, run.clock, () => work.left)) {
      yield* batch === TICK ? work.tick() : work.take(batch);
    }
  };
}

/** What a window step saves beside its windows. */
interface SavedValue {
  readonly origins: readonly Origin[];
}

/** Begins with the windows that were open when the checkpoint was made, if there is one. */
async function beginWork(plan: WindowPlan, run: RunContext): Promise<WindowWork> {
  const memory = run.memory instanceof StepState ? run.memory : undefined;
  const codec = new PaneCodec(plan.name, plan.holds, (memory?.restored as SavedValue | undefined)?.origins);
  const { log, items } = memory === undefined ? { log: new ItemLog(codec), items: [] } : await memory.items(codec);
  const panes = new Panes(plan.name, plan.fold, plan.holds, plan.limits, { failures: run.failures, log });
  const windows = openWindows(plan, panes);
  await inSlices(items, (pane) => {
    panes.adopt(pane);
    windows.adopt(pane);
  });
  const save = async (barrier: Barrier) => {
    await log.encoded;
    // The origins are read when the windows are encoded, which finds new ones.
    memory?.saveItems(barrier, log, panes.weight, () => ({ origins: codec.origins }) satisfies SavedValue);
  };
  return new WindowWork({ plan, run, panes, windows, save });
}

function openWindows(plan: WindowPlan, panes: Panes): Windows {
  const { spec, grouping, lateness } = plan;
  switch (spec.kind) {
    case "tumbling":
    case "sliding":
      return new TimeWindows(panes, grouping, spec.size, spec.slide, lateness);
    case "session":
      return new SessionWindows(panes, grouping, spec.gap, lateness);
    case "count":
      return new CountWindows(panes, grouping, spec.count, spec.slide);
    case "countOrTime":
      return new CountOrTimeWindows(panes, grouping, { count: spec.count, size: spec.size, lateness });
  }
}

/** What a window step works with. */
interface WindowParts {
  readonly plan: WindowPlan;
  readonly run: RunContext;
  readonly panes: Panes;
  readonly windows: Windows;
  /** Adds the open windows to the checkpoint of a barrier. */
  readonly save: (barrier: Barrier) => Promise<void>;
}

class WindowWork {
  readonly #plan: WindowPlan;
  readonly #run: RunContext;
  readonly #panes: Panes;
  readonly #windows: Windows;
  readonly #save: (barrier: Barrier) => Promise<void>;
  /** Set where events have no use for their own time: the clock's is taken, which neither goes back nor stands still here. */
  readonly #clock: (() => number) | undefined;
  /**
   * `first`: each event is added to an empty state first, so that one whose fold throws leaves no trace in its windows: for
   * policies that go on behind it.
   */
  readonly #trial: "first" | "none";
  #position: Position | undefined;
  #output = NO_WATERMARK;

  constructor({ plan, run, panes, windows, save }: WindowParts) {
    this.#plan = plan;
    this.#run = run;
    this.#panes = panes;
    this.#windows = windows;
    this.#save = save;
    this.#trial = plan.holds === "fold" && run.failures.canTake(plan.name) ? "first" : "none";
    this.#clock = plan.spec.time === "processing" ? rising(run.clock) : undefined;
  }

  /** In how many milliseconds a window closes by the clock; undefined when none does. */
  get left(): number | undefined {
    const { due } = this.#windows;
    return this.#clock !== undefined && Number.isFinite(due) ? due - this.#clock() : undefined;
  }

  /** Closes what the clock has reached. */
  *tick(): Generator<Batch> {
    const out: Event[] = [];
    const now = this.#clock?.() ?? NO_WATERMARK;
    let failure: unknown;
    try {
      this.#windows.advance(now, out);
    } catch (cause) {
      failure = cause;
    }
    if (this.#position !== undefined) yield* this.#results(out, this.#position, failure === undefined ? now : NO_WATERMARK);
    if (failure !== undefined) throw failure;
  }

  async *take(batch: Batch): AsyncGenerator<Batch> {
    const out: Event[] = [];
    const late: Event[] = [];
    const { events } = batch;
    let index = 0;
    let failure: unknown;
    try {
      for (; index < events.length; index++) this.#addOrTakeOut(events[index] as Event, out, late);
      this.#windows.advance(this.#watermarkAfter(batch), out);
    } catch (error) {
      failure = error;
    }
    const done = failure === undefined ? batch.position : positionBefore(batch, index);
    await this.#giveLate(late);
    if (batch.barrier !== undefined) await this.#save(batch.barrier);
    yield* this.#results(out, done, failure === undefined ? this.#watermarkAfter(batch) : NO_WATERMARK, batch.barrier);
    if (failure !== undefined) throw failure;
  }

  #addOrTakeOut(event: Event, out: Event[], late: Event[]): void {
    const { name, fold } = this.#plan;
    const now = this.#clock?.();
    const watermark = now ?? event.watermark;
    if (watermark >= this.#windows.due) this.#windows.advance(watermark, out);
    const time = now ?? event.time;
    try {
      if (Number.isNaN(time)) throw new TypeError("the event has no event time; set one with timeBy");
      if (this.#trial === "first") fold.add(fold.init(), event.value, event);
    } catch (cause) {
      this.#run.failures.take(name, event, cause);
      return;
    }
    try {
      if (this.#windows.add(event, time, watermark, out) === "late") late.push(event);
    } catch (cause) {
      // What it was added to can't be undone, so nothing may go on from here, whatever the policy says.
      throw cause instanceof WindowLimitError ? cause : failureOf(name, event, cause);
    }
  }

  #watermarkAfter(batch: Batch): number {
    if (this.#clock === undefined || batch.watermark === END_OF_INPUT) return batch.watermark;
    return this.#clock();
  }

  async #giveLate(late: readonly Event[]): Promise<void> {
    if (late.length === 0) return;
    const { late: spec } = this.#plan;
    const { counters, failures, signal } = this.#run;
    const taken = new Set<Event>();
    const end = spec === undefined ? undefined : await writeToSink(this.#run.sink(spec), late, signal, { taken, failures });
    counters.late += (end?.written ?? late.length) - taken.size;
    if (end?.failure !== undefined) throw end.failure;
  }

  *#results(given: Event[], position: Position, watermark: number, barrier?: Barrier): Generator<Batch> {
    const out = given.some(({ value }) => value === NO_RESULT) ? given.filter(({ value }) => value !== NO_RESULT) : given;
    this.#output = Math.max(this.#output, this.#windows.outputWatermark(watermark));
    const held = this.#panes.held();
    this.#position = position;
    const done = held === undefined ? position : Math.min(held, position);
    const chunks = Math.ceil(out.length / RESULTS_PER_BATCH);
    if (chunks <= 1) {
      yield { events: out, position: done, watermark: this.#output, barrier };
      return;
    }
    const positions = positionsBetween(out, done);
    for (let chunk = 0; chunk < chunks; chunk++) {
      const next = (chunk + 1) * RESULTS_PER_BATCH;
      const watermark = next < out.length ? (out[next] as Event).watermark : this.#output;
      const last = next >= out.length ? barrier : undefined;
      yield { events: out.slice(next - RESULTS_PER_BATCH, next), position: positions[chunk] ?? done, watermark, barrier: last };
    }
  }
}

/**
 * The clock's time. Where the clock is set back, time goes on from where it was: what is closed is not to be opened again, and
 * what is open is not to wait until the clock was there once more.
 */
function rising(clock: Clock): () => number {
  let latest = NO_WATERMARK;
  let since = clock.elapsed();
  return () => {
    const elapsed = clock.elapsed();
    latest = Math.max(clock.now(), latest + elapsed - since);
    since = elapsed;
    return Math.floor(latest);
  };
}

/** For each batch of results the position to go back to while those after it are not written. */
function positionsBetween(out: readonly Event[], done: Position): Position[] {
  const positions: Position[] = [];
  let earliest = done;
  for (let index = out.length - 1; index >= 0; index--) {
    if ((index + 1) % RESULTS_PER_BATCH === 0) positions[(index + 1) / RESULTS_PER_BATCH - 1] = earliest;
    earliest = Math.min(earliest, (out[index] as Event).offset);
  }
  return positions;
}
