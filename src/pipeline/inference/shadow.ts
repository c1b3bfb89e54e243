import type { Event } from "../../batch.ts";
import { within } from "../../clock.ts";
import type { RunContext, Sink } from "../../contracts.ts";
import { messageOf, PlannedStop } from "../../errors.ts";
import type { CallPolicy } from "../call.ts";
import type { Asking } from "../infer.ts";
import type { FailedRow } from "../portions.ts";
import type { Answerer } from "./answerer.ts";
import { checkRows } from "./answers.ts";
import type { Comparison } from "./companion-options.ts";
import type { Said } from "./comparison.ts";
import { compared, saidOf, secondOf } from "./comparison.ts";

/** The most bytes of records whose rows wait for a shadow, in each partition. */
const MOST_BYTES = 16 * 1024 * 1024;

/** So long the end of a partition waits for what its shadow still has. Milliseconds. */
const DRAINING = 5_000;

/** How a shadow works, checked and filled in. */
export interface ShadowPlan {
  readonly policy: CallPolicy;
  /** The most rows of a call. */
  readonly maxSize: number;
  readonly maxQueued: number;
  readonly write: "all" | "differences";
  readonly differs: ((first: unknown, second: unknown) => boolean) | undefined;
}

/** A row that the first model is done with. */
interface ShadowRow {
  /** With the input as its value. */
  readonly event: Event;
  readonly first: Said;
}

/** Answers by the first model, and shows the same rows to another. */
export class ShadowedAnswerer implements Answerer {
  readonly #first: Answerer;
  readonly #shadow: Shadow;

  constructor(first: Answerer, shadow: Shadow) {
    this.#first = first;
    this.#shadow = shadow;
  }

  async answer(events: Event[], rows: readonly number[]): Promise<readonly FailedRow[]> {
    const inputs = rows.map((row) => ({ ...(events[row] as Event) }));
    const failed = await this.#first.answer(events, rows);
    const errors = new Map(failed.map(({ index, error }) => [index, error]));
    this.#shadow.offer(inputs, (index) => {
      const row = rows[index] as number;
      return errors.has(row) ? { error: errors.get(row) } : saidOf(events[row] as Event, inputs[index]?.headers);
    });
    return failed;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await using _shadow = this.#shadow;
    await this.#first[Symbol.asyncDispose]();
  }
}

/** Asks a second model for rows that the first is done with, as far as it keeps up, and tells how they differ. */
export class Shadow implements AsyncDisposable {
  readonly #plan: ShadowPlan;
  readonly #asking: Asking;
  readonly #sink: Sink | undefined;
  readonly #run: RunContext;
  readonly #end = new AbortController();
  readonly #signal: AbortSignal;
  readonly #queue: ShadowRow[] = [];
  /** Of the rows that wait, are worked on or are being written. */
  #rows = 0;
  #bytes = 0;
  #calls = 0;
  #written: Promise<unknown> = Promise.resolve();
  #empty: (() => void) | undefined;
  /** What it was told to fail at. */
  readonly #told = new Set<string>();

  constructor(plan: ShadowPlan, parts: { readonly asking: Asking; readonly sink: Sink | undefined }, run: RunContext) {
    this.#plan = plan;
    this.#asking = parts.asking;
    this.#sink = parts.sink;
    this.#run = run;
    this.#signal = AbortSignal.any([run.signal, this.#end.signal]);
  }

  /** Takes rows, as many as there is room for. @param first what the first model said of each, asked only where there is */
  offer(events: readonly Event[], first: (index: number) => Said): void {
    for (const [index, event] of events.entries()) {
      if (this.#rows >= this.#plan.maxQueued || this.#bytes >= MOST_BYTES) {
        this.#run.counters.shadowDropped += events.length - index;
        break;
      }
      this.#queue.push({ event, first: first(index) });
      this.#rows += 1;
      this.#bytes += event.size;
    }
    this.#pump();
  }

  #pump(): void {
    while (this.#calls < this.#plan.policy.maxInFlight && this.#queue.length > 0) {
      this.#calls += 1;
      void this.#ask(this.#queue.splice(0, this.#plan.maxSize));
    }
  }

  /** Never rejects. */
  async #ask(rows: readonly ShadowRow[]): Promise<void> {
    try {
      this.#conclude(rows, await this.#answers(rows));
    } catch {
      // Given up with the partition: what it would have said is not known.
      this.#run.counters.shadowDropped += rows.length;
      this.#done(rows);
    } finally {
      this.#calls -= 1;
      this.#pump();
    }
  }

  #conclude(rows: readonly ShadowRow[], seconds: readonly Said[]): void {
    const comparisons = rows.map((row, index) => this.#compare(row, seconds[index] as Said));
    const wanted = this.#plan.write === "all" ? comparisons : comparisons.filter(({ value }) => value.differs);
    if (this.#sink !== undefined && wanted.length > 0) this.#write(this.#sink, wanted, rows);
    else this.#done(rows);
  }

  /** What it answers for each row. Rejects only when it is given up. */
  async #answers(rows: readonly ShadowRow[]): Promise<readonly Said[]> {
    const { policy } = this.#plan;
    const { clock } = this.#run;
    const late = new AbortController();
    const { timeout } = policy;
    const cancel = timeout === undefined ? undefined : clock.after(timeout, () => late.abort(), "deadline");
    const signal = timeout === undefined ? this.#signal : AbortSignal.any([this.#signal, late.signal]);
    const until = timeout === undefined ? Number.POSITIVE_INFINITY : clock.elapsed() + timeout;
    const aborted = Promise.withResolvers<never>();
    const abort = () => aborted.reject(late.signal.aborted ? new Error(`no answer within ${timeout} ms`) : this.#signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    if (signal.aborted) abort();
    try {
      const asked = this.#asking.ask(
        rows.map(({ event }) => event),
        { attempt: 1, signal, until },
      );
      const { outputs, identity } = await Promise.race([asked, aborted.promise]);
      const checked = checkRows(outputs, rows.length);
      this.#told.delete("model");
      return rows.map((_, index) => secondOf(checked[index], identity));
    } catch (error) {
      this.#signal.throwIfAborted();
      this.#tell("model", error);
      return rows.map(() => ({ error }));
    } finally {
      cancel?.();
      signal.removeEventListener("abort", abort);
    }
  }

  #compare({ event, first }: ShadowRow, second: Said): Event<Comparison> {
    const { policy, differs } = this.#plan;
    const { counters } = this.#run;
    let comparison: Comparison;
    let said = second;
    try {
      comparison = compared(policy.step, event, { first, second }, differs);
    } catch (error) {
      said = { error };
      comparison = compared(policy.step, event, { first, second: said });
    }
    if ("error" in said) counters.shadowFailed += 1;
    else counters.shadowed += 1;
    if (comparison.differs) counters.shadowDiffering += 1;
    return { ...event, value: comparison, headers: undefined, raw: undefined };
  }

  #write(sink: Sink, comparisons: readonly Event[], rows: readonly ShadowRow[]): void {
    this.#written = this.#written.then(async () => {
      try {
        this.#signal.throwIfAborted();
        await sink.write(comparisons, this.#signal);
        this.#told.delete("sink");
      } catch (error) {
        this.#run.counters.shadowDropped += comparisons.length;
        this.#tell("sink", error);
      }
      this.#done(rows);
    });
  }

  #done(rows: readonly ShadowRow[]): void {
    this.#rows -= rows.length;
    for (const { event } of rows) this.#bytes -= event.size;
    if (this.#rows === 0) this.#empty?.();
  }

  /** Once, until it works again. */
  #tell(what: "model" | "sink", error: unknown): void {
    if (this.#signal.aborted || this.#told.has(what)) return;
    this.#told.add(what);
    const fields = { step: this.#plan.policy.step, reason: messageOf(error) };
    this.#run.logger.warn(fields, what === "model" ? "the shadow of a model fails" : "the comparisons of a shadow can't be written");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    using _asking = this.#asking;
    if (this.#rows > 0) {
      const empty = new Promise<void>((resolve) => {
        this.#empty = resolve;
        if (this.#signal.aborted) resolve();
        else this.#signal.addEventListener("abort", () => resolve(), { once: true });
      });
      await within(empty, DRAINING, this.#run.clock);
    }
    this.#end.abort(new PlannedStop("its partition has ended"));
    this.#run.counters.shadowDropped += this.#queue.length;
    this.#queue.length = 0;
  }
}
