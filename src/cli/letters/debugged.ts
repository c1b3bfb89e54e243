/** Dead letters that `debug` reads in the place of a task's source. */
import type { OpenContext, SinkSpec } from "../../contracts.ts";
import type { DeadLetter, LetterBox } from "../../dead-letter.ts";
import { PlanError, UsageError } from "../../errors.ts";
import type { Plan } from "../../pipeline/plan.ts";
import type { DebugFlags } from "../program.ts";
import { openBox } from "./open-box.ts";
import { planFor } from "./replay-plan.ts";

/** Letters that are read at most where no limit is given. */
const MOST = 1000;

/** Whether the flags ask for letters. */
export function readsLetters({ letter, deadLetters }: DebugFlags): boolean {
  return letter !== undefined || deadLetters === true;
}

/**
 * The letters that the flags ask for.
 * @throws {UsageError} when there are none, or the flags ask for another input as well
 */
export async function lettersToDebug(spec: SinkSpec, flags: DebugFlags, context: OpenContext): Promise<readonly DeadLetter[]> {
  if (flags.input !== undefined) throw new UsageError("give --input or dead letters, not both");
  const { letter: id, limit = MOST } = flags;
  const letters: DeadLetter[] = [];
  await using box = await openBox(spec, { ...context, part: "dead-letter" });
  for await (const letter of box.read(context.task.id, context.signal)) {
    if ((id !== undefined && letter.id !== id) || letter.leftOut !== undefined) continue;
    letters.push(letter);
    if (letters.length >= limit || id !== undefined) break;
  }
  if (letters.length === 0)
    throw new UsageError(`task "${context.task.id}" has no dead letter${id === undefined ? "s" : ` "${id}"`} that holds its value`);
  return letters;
}

/**
 * The plan for letters: what fails again is not kept. Letters that hold what came to a step begin there.
 * @throws {PlanError} when that step is not there any more
 */
export function planToDebug(plan: Plan, letters: readonly DeadLetter[]): Plan {
  const [first] = letters;
  if (first === undefined) return plan;
  if (letters.some(({ holds, step }) => holds !== first.holds || (holds === "derived" && step !== first.step)))
    throw new UsageError("these letters begin at different steps of the pipeline: give one with --letter");
  const begun = first.holds === "record" ? plan : planFor(plan, first.step);
  if (begun === undefined) throw new PlanError(`the pipeline has no step "${first.step}" any more, where the letter would begin`);
  return {
    ...begun,
    ...(begun.deadLetter === undefined ? {} : { deadLetter: { ...begun.deadLetter, openLetters: () => Promise.resolve(NOWHERE) } }),
  };
}

/** Keeps nothing. */
const NOWHERE: LetterBox = {
  write: () => Promise.resolve(),
  async *read() {
    // Nothing was kept.
  },
  resolve: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
};
