import type { Fold } from "./fold.ts";
import { countFold } from "./fold.ts";
import type { WindowSpec } from "./spec.ts";
import { countWindow } from "./spec.ts";

/** As an aggregate of `fold`: how many events. */
export function count(): Required<Fold<unknown, number>>;
/**
 * As a window: `n` events; every `slide` events one begins (default `n`: one after the other). Only full ones give a result.
 * @throws PlanError when a number is not whole or `slide` is larger than `n`
 */
export function count(n: number, slide?: number): WindowSpec;
export function count(n?: number, slide?: number): Required<Fold<unknown, number>> | WindowSpec {
  return n === undefined ? countFold() : countWindow(n, slide);
}
