import type { Event } from "../../batch.ts";
import { PlanError } from "../../errors.ts";

/**
 * An aggregate that keeps no events: a state per window, to which each value is added.
 * `A` is the state, `R` the result.
 */
export interface Fold<T, A, R = A> {
  /** The state of an empty window: a new one each time. */
  init(): A;
  /** The state with one more value; it may change and return the state that it got. */
  add(state: A, value: T, event: Readonly<Event<T>>): A;
  /** The state of two windows together; needed for sessions, which can merge. */
  merge?(a: A, b: A): A;
  /** What the window's result has; default the state itself. */
  result?(state: A): R;
}

// A fold among others: whatever its state is, only it looks at it.
export type AnyFold<T> = Fold<T, any, unknown>; // oxlint-disable-line typescript/no-explicit-any

/** Several folds over the same events; the result is an object with a field for each. */
export type NamedFolds<T> = Readonly<Record<string, AnyFold<T>>>;

/** What the result of named folds looks like. */
export type FoldedValues<F> = { -readonly [Name in keyof F]: FoldedValue<F[Name]> };
type FoldedValue<F> = F extends { result(state: never): infer R } ? R : F extends { init(): infer A } ? A : never;

/** A fold with everything filled in. */
export interface ReadyFold<A> {
  readonly init: () => A;
  readonly add: (state: A, value: unknown, event: Event) => A;
  readonly merge: ((a: A, b: A) => A) | undefined;
  readonly result: (state: A) => unknown;
}

/** How many events. */
export function countFold(): Required<Fold<unknown, number>> {
  return { init: () => 0, add: (n) => n + 1, merge: (a, b) => a + b, result: (n) => n };
}

/** The sum of a number of each value. */
export function sum<T>(of: (value: T) => number): Required<Fold<T, number>> {
  return { init: () => 0, add: (total, value) => total + numeric(of(value)), merge: (a, b) => a + b, result: (total) => total };
}

/** The smallest of a number of each value. */
export function min<T>(of: (value: T) => number): Required<Fold<T, number>> {
  return {
    init: () => Number.POSITIVE_INFINITY,
    add: (least, value) => Math.min(least, numeric(of(value))),
    merge: (a, b) => Math.min(a, b),
    result: (least) => least,
  };
}

/** The largest of a number of each value. */
export function max<T>(of: (value: T) => number): Required<Fold<T, number>> {
  return {
    init: () => Number.NEGATIVE_INFINITY,
    add: (most, value) => Math.max(most, numeric(of(value))),
    merge: (a, b) => Math.max(a, b),
    result: (most) => most,
  };
}

interface Mean {
  total: number;
  n: number;
}

/** The arithmetic mean of a number of each value. */
export function mean<T>(of: (value: T) => number): Required<Fold<T, Mean, number>> {
  return {
    init: () => ({ total: 0, n: 0 }),
    add: (state, value) => {
      state.total += numeric(of(value));
      state.n += 1;
      return state;
    },
    merge: (a, b) => ({ total: a.total + b.total, n: a.n + b.n }),
    result: ({ total, n }) => total / n,
  };
}

function numeric(value: unknown): number {
  if (typeof value === "number") return value;
  throw new TypeError(`an aggregate needs a number from each value, got ${value === null ? "null" : typeof value}`);
}

/**
 * Makes one fold of what a product gave as `fold`.
 * @param merging whether windows can merge, so that every fold needs `merge`
 * @throws PlanError when something is missing
 */
export function readyFold(step: string, given: unknown, merging: "merging" | "apart"): ReadyFold<unknown> {
  if (typeof given !== "object" || given === null)
    throw new PlanError(`step "${step}": fold must be an aggregate, or an object of aggregates`);
  if (typeof (given as AnyFold<unknown>).init === "function") return readyOne(step, "fold", given as AnyFold<unknown>, merging);
  const names = Object.keys(given);
  if (names.length === 0) throw new PlanError(`step "${step}": fold has no aggregate`);
  const folds = names.map((name) => readyOne(step, `fold.${name}`, (given as NamedFolds<unknown>)[name] as AnyFold<unknown>, merging));
  return combined(names, folds, merging);
}

function readyOne(step: string, path: string, fold: AnyFold<unknown>, merging: "merging" | "apart"): ReadyFold<unknown> {
  if (typeof fold?.init !== "function" || typeof fold.add !== "function") {
    throw new PlanError(`step "${step}": ${path} needs the functions init and add (sum, count, mean … have them)`);
  }
  if (merging === "merging" && fold.merge === undefined) {
    throw new PlanError(`step "${step}": ${path} needs a function merge, since sessions can merge`);
  }
  return {
    init: () => fold.init() as unknown,
    add: (state, value, event) => fold.add(state, value, event) as unknown,
    merge: fold.merge === undefined ? undefined : (a, b) => fold.merge?.(a, b) as unknown,
    result: (state) => (fold.result === undefined ? state : fold.result(state)),
  };
}

function combined(names: readonly string[], folds: readonly ReadyFold<unknown>[], merging: "merging" | "apart"): ReadyFold<unknown> {
  const all: ReadyFold<unknown[]> = {
    init: () => folds.map((fold) => fold.init()),
    add: (states, value, event) => {
      for (let index = 0; index < folds.length; index++)
        states[index] = (folds[index] as ReadyFold<unknown>).add(states[index], value, event);
      return states;
    },
    merge: merging === "apart" ? undefined : (a, b) => folds.map((fold, index) => fold.merge?.(a[index], b[index])),
    result: (states) => {
      const result: Record<string, unknown> = {};
      for (let index = 0; index < folds.length; index++)
        result[names[index] as string] = (folds[index] as ReadyFold<unknown>).result(states[index]);
      return result;
    },
  };
  return all as ReadyFold<unknown>;
}

/** The fold behind a window's plain `values`. */
export const collect: ReadyFold<unknown> = {
  init: () => [],
  add: (values, value) => {
    (values as unknown[]).push(value);
    return values;
  },
  merge: (a, b) => (a as unknown[]).concat(b as unknown[]),
  result: (values) => values,
};
