import { statSync, truncateSync } from "node:fs";
import { resolve } from "node:path";

import type { OpenContext, Sink, SinkSpec, Source } from "../contracts.ts";
import type { DeadLetter, LetterBox } from "../dead-letter.ts";
import { MillraceError, messageOf, PlannedStop } from "../errors.ts";
import { createInstance, type InstanceOptions } from "../pipeline/instance.ts";
import type { Plan } from "../pipeline/plan.ts";
import { fileSink } from "../sinks/file.ts";
import { EXIT } from "./exit-codes.ts";
import { openInput } from "./input-source.ts";
import { lettersToDebug, planToDebug, readsLetters } from "./letters/debugged.ts";
import { LetterSource } from "./letters/letter-source.ts";
import { boxOf } from "./letters/open-box.ts";
import { LimitedSource } from "./limited-source.ts";
import { chosenTask, contextOf, explained, logsOf, stopOnSignals } from "./one-task.ts";
import type { DebugFlags } from "./program.ts";
import { settingsOf } from "./settings-flags.ts";
import type { Surroundings } from "./surroundings.ts";
import { planOf } from "./tasks.ts";

/** `millrace debug`: runs one task's pipeline in this process and thread. */
export async function debug(id: string | undefined, flags: DebugFlags, surroundings: Surroundings): Promise<number> {
  const loaded = settingsOf(flags, surroundings);
  const task = await chosenTask(id, flags.task, loaded.settings, surroundings.cwd);
  surroundings.hide(task.secrets);
  const logs = logsOf(loaded, task);
  const stop = new AbortController();
  const abandon = new AbortController();
  const ofTask = await planOf(task, logs.logger, abandon.signal);
  const context = contextOf(task, loaded.settings, { logs, signal: abandon.signal, mode: "debug" });
  const letters = readsLetters(flags) ? await lettersToDebug(boxOf(ofTask, task, flags.sink, loaded, surroundings), flags, context) : [];
  const plan = planToDebug(ofTask, letters);
  const instance = createInstance(plan, context, replacements(plan, letters, flags, surroundings.cwd));
  const deafen = stopOnSignals(stop, surroundings);
  try {
    const end = await instance.run(stop.signal);
    const { in: read, out, filtered, deduplicated, late, failed, deadLettered, skipped } = instance.counters;
    const left = `failed ${failed}, dead letters ${deadLettered}, skipped ${skipped}`;
    surroundings.err(
      `${task.id}: ${end}; in ${read}, out ${out}, filtered ${filtered}, deduplicated ${deduplicated}, late ${late}, ${left}\n`,
    );
    return EXIT.done;
  } catch (error) {
    throw explained(error, task);
  } finally {
    deafen();
    abandon.abort(new PlannedStop("the task has ended"));
  }
}

/** Opens files in the place of the plan's source and sinks, where the flags say so. */
function replacements(
  plan: Plan,
  letters: readonly DeadLetter[],
  { input, format, output, limit }: DebugFlags,
  cwd: string,
): InstanceOptions {
  if (output !== undefined && output !== "-") empty(resolve(cwd, output));
  const file = output === undefined ? undefined : fileSink({ path: output });
  return {
    openSource: async (source, context, options): Promise<Source> => {
      if (letters.length > 0) return new LetterSource(letters, source.format);
      const opened =
        input === undefined ? await source.open(context, options) : await openInput(source, input, format, { ...context, directory: cwd });
      return limit === undefined ? opened : new LimitedSource(opened, limit);
    },
    openSink: async (spec, context): Promise<Sink> => {
      if (file === undefined) return letters.length > 0 ? nowhere(spec, context) : await spec.open(context);
      // All sinks get the same events: one file has them all. What is late is counted, and must not reach the real sink.
      return spec === plan.sinks[0] ? await file.open({ ...context, directory: cwd }) : nowhere(spec, context);
    },
    ...(file === undefined ? {} : { openLetters: async (spec, context) => nowhereForLetters(spec, context) }),
  };
}

/** A debugger's output holds one run. Devices and pipes are left as they are. */
function empty(path: string): void {
  try {
    if (statSync(path).isFile()) truncateSync(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw new MillraceError(`the output ${path} can't be written: ${messageOf(error)}`, { cause: error });
  }
}

function nowhere(spec: SinkSpec, { logger }: OpenContext): Sink {
  return {
    write: (events) => {
      logger.debug({ sink: spec.kind, events: events.length }, "not written: this sink is left alone");
      return Promise.resolve();
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}

function nowhereForLetters(spec: SinkSpec, { logger }: OpenContext): LetterBox {
  return {
    write: (letters) => {
      for (const { step, error, message } of letters) {
        logger.warn({ step, error, box: spec.kind }, `a dead letter, not kept: --output is in the place of the box: ${message}`);
      }
      return Promise.resolve();
    },
    async *read() {},
    resolve: () => Promise.resolve(),
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
