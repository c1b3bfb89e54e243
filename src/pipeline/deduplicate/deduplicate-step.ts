import type { Barrier, Batch, Event } from "../../batch.ts";
import type { RunContext, Step } from "../../contracts.ts";
import { ItemLog } from "../state/item-log.ts";
import { StepState } from "../state/step-state.ts";
import type { EventFunction } from "../transforms.ts";
import { refusePromise } from "../transforms.ts";
import { truncate } from "../truncated.ts";
import type { IdBounds } from "./id-memory.ts";
import { IdMemory } from "./id-memory.ts";
import type { Page } from "./page-codec.ts";
import { PageCodec } from "./page-codec.ts";

/** A `deduplicate` step with everything checked and filled in. Times in milliseconds. */
export interface DeduplicatePlan extends IdBounds {
  readonly name: string;
  readonly idOf: EventFunction<unknown, unknown>;
  readonly per: "key" | "all";
}

/** Characters of an id, with its key where that belongs to it: what is remembered has a bound. */
const LONGEST_ID = 1024;

/**
 * Drops each event whose id is remembered. Only events that go through are remembered: an id that comes again and again goes through once
 * in each `within`. Nothing is dropped that is not known to be a repeat, also no late event: so a repeat goes through that is later than `within`.
 */
export function deduplicateStep(plan: DeduplicatePlan): Step<unknown, unknown> {
  return async function* (input, run) {
    const { memory, save } = await beginMemory(plan, run);
    for await (const batch of input) {
      if (batch.barrier !== undefined) await save(batch.barrier);
      yield* withoutRepeats(batch, plan, memory, run);
    }
  };
}

/** What the step saves beside its pages of ids. */
interface SavedValue {
  readonly first: number;
  readonly next: number;
}

interface Begun {
  readonly memory: IdMemory;
  /** Adds what is remembered to the checkpoint of a barrier. */
  readonly save: (barrier: Barrier) => Promise<void>;
}

/** Begins with the ids of the checkpoint, if there is one. */
async function beginMemory(plan: DeduplicatePlan, run: RunContext): Promise<Begun> {
  const state = run.memory instanceof StepState ? run.memory : undefined;
  const codec = new PageCodec();
  const { log, items } = state === undefined ? { log: new ItemLog<Page>(codec), items: [] } : await state.items(codec);
  const memory = new IdMemory(plan.name, plan, log);
  const { first, next } = (state?.restored as SavedValue | undefined) ?? memory.range;
  await memory.adopt(items, first, next);
  const save = async (barrier: Barrier) => {
    await log.encoded;
    // As it is at the barrier, not when the pages are encoded.
    const range: SavedValue = memory.range;
    state?.saveItems(barrier, log, memory.weight, () => range);
  };
  return { memory, save };
}

function* withoutRepeats(batch: Batch, plan: DeduplicatePlan, memory: IdMemory, run: RunContext): Generator<Batch> {
  const { events } = batch;
  let index = 0;
  let kept = 0;
  let repeats = 0;
  try {
    for (; index < events.length; index++) {
      const event = events[index] as Event;
      const id = idOrTaken(event, plan, run);
      if (id === undefined) continue;
      memory.advance(event.watermark);
      if (memory.has(id, event.watermark)) repeats += 1;
      else {
        memory.add(id, Math.max(event.time, event.watermark));
        events[kept++] = event;
      }
    }
  } catch (error) {
    run.counters.deduplicated += repeats;
    // The events from `index` on still stand where they were: only places before it were overwritten.
    yield truncate(batch, events.slice(0, kept), index, error).batch;
    throw error;
  }
  run.counters.deduplicated += repeats;
  memory.advance(batch.watermark);
  events.length = kept;
  yield batch;
}

/** The event's id as it is remembered; undefined when it has none and was taken out. */
function idOrTaken(event: Event, { name, idOf, per, within }: DeduplicatePlan, run: RunContext): string | undefined {
  try {
    if (within !== undefined && Number.isNaN(event.time)) throw new TypeError("the event has no event time; set one with timeBy");
    const id = idText(idOf(event.value, event), name);
    const whole = per === "all" ? id : `${keyPrefix(event.key)}${id}`;
    if (whole.length > LONGEST_ID) {
      throw new RangeError(`an id may have ${LONGEST_ID} characters at most, and this one has ${whole.length}; use a hash of it`);
    }
    return whole;
  } catch (cause) {
    run.failures.take(name, event, cause);
    return undefined;
  }
}

/** No two pairs of key and id look alike with it. */
function keyPrefix(key: string | undefined): string {
  return key === undefined ? ":" : `${key.length}:${key}`;
}

function idText(id: unknown, name: string): string {
  if (typeof id === "string") return id;
  if (typeof id === "bigint" || (typeof id === "number" && !Number.isNaN(id))) return String(id);
  if (id instanceof Promise) refusePromise(id, name);
  const got = id === null || Number.isNaN(id) ? String(id) : Array.isArray(id) ? "an array" : typeof id;
  throw new TypeError(`an id must be text or a number, got ${got}`);
}
