import type { LoadedSettings } from "../../config/settings.ts";
import type { OpenContext, SinkSpec } from "../../contracts.ts";
import type { LetterBox } from "../../dead-letter.ts";
import { MillraceError, messageOf, PlannedStop, UsageError } from "../../errors.ts";
import type { Plan } from "../../pipeline/plan.ts";
import { resolveReferences } from "../../secrets.ts";
import { sink, sinkConfig } from "../../sinks/config.ts";
import type { TaskDefinition } from "../../tasks/task.ts";
import { chosenTask, contextOf, logsOf } from "../one-task.ts";
import { settingsOf } from "../settings-flags.ts";
import type { Surroundings } from "../surroundings.ts";
import { planOf } from "../tasks.ts";

/** A task, and its dead letters. */
export interface OpenLetters {
  readonly task: TaskDefinition;
  readonly plan: Plan;
  readonly spec: SinkSpec;
  readonly box: LetterBox;
  readonly context: OpenContext;
}

/** Which task and box. */
interface Wanted {
  readonly config?: string;
  readonly set?: readonly string[];
  /** Its id, or the task itself as JSON or `@FILE`. */
  readonly task: string;
  /** The box as JSON of a sink; default the one that the pipeline names. */
  readonly sink?: string;
}

/**
 * Opens the dead letters of a task, works with them, and closes them.
 * @throws {UsageError} when the pipeline names no place for them and no flag does
 */
export async function withLetters<R>(wanted: Wanted, surroundings: Surroundings, work: (letters: OpenLetters) => Promise<R>): Promise<R> {
  const loaded = settingsOf(wanted, surroundings);
  const isText = /^\s*\{|^@/.test(wanted.task);
  const task = await chosenTask(isText ? undefined : wanted.task, isText ? wanted.task : undefined, loaded.settings, surroundings.cwd);
  surroundings.hide(task.secrets);
  const logs = logsOf(loaded, task);
  const end = new AbortController();
  try {
    const plan = await planOf(task, logs.logger, end.signal);
    const spec = boxOf(plan, task, wanted.sink, loaded, surroundings);
    const context = contextOf(task, loaded.settings, { logs, signal: end.signal, mode: "run" });
    await using box = await openBox(spec, { ...context, part: "dead-letter" });
    return await work({ task, plan, spec, box, context });
  } finally {
    end.abort(new PlannedStop("the command has ended"));
  }
}

/** @throws {MillraceError} when that kind of sink keeps no letters */
export async function openBox(spec: SinkSpec, context: OpenContext): Promise<LetterBox> {
  const box = await spec.openLetters?.(context);
  if (box === undefined) throw new MillraceError(`a ${spec.kind} sink can't keep dead letters: use kafka, jetstream, file or sql`);
  return box;
}

/**
 * Where the dead letters of a task are.
 * @param flag JSON of a sink; undefined: where the pipeline says
 * @throws {UsageError} when neither says it, or the flag is no sink
 */
export function boxOf(
  plan: Plan,
  task: TaskDefinition,
  flag: string | undefined,
  { settings }: LoadedSettings,
  surroundings: Surroundings,
): SinkSpec {
  if (flag === undefined) {
    if (plan.deadLetter !== undefined) return plan.deadLetter;
    throw new UsageError(`task "${task.id}" has no place for dead letters: its pipeline has no .deadLetter(…). Or name one with --sink`);
  }
  const { value, secrets, faults } = resolveReferences(parsed(flag), settings.directory);
  surroundings.hide(secrets);
  const [fault] = faults;
  if (fault !== undefined) throw new UsageError(`--sink: ${fault.path.join(".")}: ${fault.what}`);
  const result = sinkConfig.safeParse(value);
  if (result.success) return sink(value as Parameters<typeof sink>[0]);
  const issues = result.error.issues.map(({ path, message }) => `${path.join(".")}${path.length === 0 ? "" : ": "}${message}`);
  throw new UsageError(`--sink is no sink: ${issues.join("; ")}`);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new UsageError(`--sink is no JSON, such as {"file":{"path":"letters.ndjson"}}: ${messageOf(error)}`, { cause: error });
  }
}
