/** `dlq replay`. */
import type { SinkSpec } from "../../contracts.ts";
import type { DeadLetter, LetterBox } from "../../dead-letter.ts";
import { messageOf, PlannedStop, UsageError } from "../../errors.ts";
import { createInstance } from "../../pipeline/instance.ts";
import type { Plan } from "../../pipeline/plan.ts";
import { EXIT } from "../exit-codes.ts";
import { explained, stopOnSignals } from "../one-task.ts";
import type { Surroundings } from "../surroundings.ts";
import { chosen, type LetterFlags } from "./flags.ts";
import { LetterSource } from "./letter-source.ts";
import { type OpenLetters, withLetters } from "./open-box.ts";
import { planFor } from "./replay-plan.ts";
import { openReturns, type Returns } from "./to-source.ts";

/** Letters that are in memory together: in count, and in bytes of their values. */
const TOGETHER = { letters: 1000, bytes: 64 * 1_048_576 };

/** The flags of `dlq replay`. */
export interface ReplayFlags extends LetterFlags {
  readonly to?: "task" | "source";
  readonly subject?: string;
  readonly alone?: true;
}

/** How a replay went. */
interface Tally {
  through: number;
  failed: number;
  /** Letters that can't be replayed, and why. */
  unfit: number;
}

/**
 * Sends letters through their task's pipeline again, in this process, or back to the topic or stream that they came from, and
 * takes away those that went through.
 */
export async function replay(flags: ReplayFlags, surroundings: Surroundings): Promise<number> {
  return await withLetters(flags, surroundings, async (letters) => {
    const { task, box, context } = letters;
    const stop = new AbortController();
    const deafen = stopOnSignals(stop, surroundings);
    const tally: Tally = { through: 0, failed: 0, unfit: 0 };
    let ended = false;
    try {
      await using returns = flags.to === "source" ? openReturns(letters, flags.subject) : undefined;
      const replaying = { letters, returns, alone: flags.alone === true, stop: stop.signal, tally, surroundings };
      for await (const some of portions(chosen(box.read(task.id, context.signal), flags), flags.alone === true)) {
        await replaySome(some, replaying);
        if (stop.signal.aborted) break;
      }
      ended = true;
    } finally {
      deafen();
      const { through, failed, unfit } = tally;
      if (ended || through + failed + unfit > 0)
        surroundings.out(`${task.id}: replayed ${through}, failed again ${failed}, not replayed ${unfit}\n`);
    }
    return tally.failed + tally.unfit > 0 ? EXIT.failed : EXIT.done;
  });
}

async function* portions(letters: AsyncIterable<DeadLetter>, all: boolean): AsyncGenerator<readonly DeadLetter[]> {
  let some: DeadLetter[] = [];
  let bytes = 0;
  for await (const letter of letters) {
    some.push(letter);
    bytes += letter.value?.length ?? 0;
    if (all || (some.length < TOGETHER.letters && bytes < TOGETHER.bytes)) continue;
    yield some;
    some = [];
    bytes = 0;
  }
  if (some.length > 0) yield some;
}

interface Replaying {
  readonly letters: OpenLetters;
  readonly returns: Returns | undefined;
  /** Whether steps that keep state may see the replayed events only. */
  readonly alone: boolean;
  readonly stop: AbortSignal;
  readonly tally: Tally;
  readonly surroundings: Surroundings;
}

async function replaySome(some: readonly DeadLetter[], replaying: Replaying): Promise<void> {
  const { letters, returns, tally, surroundings } = replaying;
  const whole = some.filter((letter) => {
    if (letter.leftOut === undefined) return true;
    tally.unfit += 1;
    surroundings.err(`${letter.id}: its value of ${letter.leftOut} bytes was too large for the dead letters, so it can't be replayed\n`);
    return false;
  });
  if (returns !== undefined) {
    await returnSome(whole, returns, replaying);
    return;
  }
  const ways = [...Map.groupBy(whole, ({ holds, step }) => (holds === "record" ? "" : step))].map(([step, group]) => {
    return { step, group, plan: step === "" ? letters.plan : planFor(letters.plan, step) };
  });
  if (!replaying.alone) for (const { plan } of ways) if (plan !== undefined) refuseState(plan, letters.task.id);
  for (const { step, group, plan } of ways) {
    if (plan === undefined) {
      tally.unfit += group.length;
      surroundings.err(`${group.length} of step "${step}": the pipeline has no such step any more, and they hold what came to it\n`);
    } else await runThrough(plan, group, replaying);
  }
}

/** @throws {UsageError} when steps of the plan keep state */
function refuseState({ steps }: Plan, task: string): void {
  const stateful = steps.filter((step) => step.stateful).map(({ name }) => name);
  if (stateful.length === 0) return;
  const what = `the steps ${stateful.join(", ")} of task "${task}" keep state: replayed here, they would see the replayed events only`;
  throw new UsageError(`${what}. Send them through the running task with --to source, or give --alone if that is what you want`);
}

async function returnSome(some: readonly DeadLetter[], returns: Returns, { letters, tally, surroundings }: Replaying): Promise<void> {
  const { task, box, context } = letters;
  const fit = some.filter((letter) => {
    const reason = returns.refusal(letter);
    if (reason === undefined) return true;
    tally.unfit += 1;
    surroundings.err(`${letter.id}: ${reason}\n`);
    return false;
  });
  await returns.write(fit, context.signal);
  await box.resolve(task.id, ids(fit), context.signal);
  tally.through += fit.length;
}

/** Runs letters through a plan with its own sinks. What fails again is kept in this box, unless a policy says otherwise. */
async function runThrough(plan: Plan, group: readonly DeadLetter[], { letters, stop, tally, surroundings }: Replaying): Promise<void> {
  const { task, box, context } = letters;
  const again = new Map<string, DeadLetter>();
  // Without a breaker: that many of these fail again is to be expected, and nothing is drained.
  const deadLetter = noting(letters.spec, box, again);
  const source = new LetterSource(group, plan.source.format);
  const instance = createInstance({ ...plan, deadLetter, breaker: undefined }, context, { openSource: () => Promise.resolve(source) });
  let failure: unknown;
  try {
    await instance.run(stop);
  } catch (error) {
    failure = error;
  }
  const through = source.done.filter(({ id }) => !again.has(id));
  await box.resolve(task.id, ids(through), context.signal);
  tally.through += through.length;
  tally.failed += again.size;
  for (const { id, step, error, message, attempts } of again.values())
    surroundings.err(`${id}: failed again, ${attempts} attempts: step "${step}": ${error}: ${message}\n`);
  if (failure === undefined || failure instanceof PlannedStop) return;
  tally.failed += 1;
  surroundings.err(`${messageOf(explained(failure, task))}\n`);
  throw explained(failure, task);
}

/** The open box in the place of one that the pipeline opens, so that it is known what fails again. */
function noting(spec: SinkSpec, box: LetterBox, again: Map<string, DeadLetter>): SinkSpec {
  const noted: LetterBox = {
    write: async (letters, signal) => {
      await box.write(letters, signal);
      for (const letter of letters) again.set(letter.id, letter);
    },
    read: (task, signal) => box.read(task, signal),
    resolve: (task, some, signal) => box.resolve(task, some, signal),
    // It is closed with the command.
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
  return { ...spec, openLetters: () => Promise.resolve(noted) };
}

function ids(letters: readonly DeadLetter[]): readonly string[] {
  return letters.map(({ id }) => id);
}
