/**
 * Every error class: one per decision that a caller can take. Imports only the vocabulary.
 */
import type { Origin, Position } from "./batch.ts";
import { placeOf } from "./batch.ts";

/** One thing wrong with the settings, a product or a task: where, and what to do. */
export interface Fault {
  /** The file, `FILE#PATH`, row, environment variable or flag that is at fault. */
  readonly where: string;
  /** What is wrong, and what would be right. */
  readonly what: string;
}

/** The base of all errors that Millrace raises on purpose. Their message is for the user and needs no stack trace. */
export class MillraceError extends Error {
  override readonly name: string = "MillraceError";
}

/** The command line is wrong: exit code 2. */
export class UsageError extends MillraceError {
  override readonly name = "UsageError";
}

/** Settings, products or tasks are wrong: exit code 78. Lists every fault, not just the first. */
export class ConfigError extends MillraceError {
  override readonly name = "ConfigError";
  readonly faults: readonly Fault[];

  constructor(faults: readonly Fault[], options?: ErrorOptions) {
    super(faults.map((fault) => `${fault.where}: ${fault.what}`).join("\n"), options);
    this.faults = faults;
  }
}

/** What is saved as a checkpoint is damaged, and there is no earlier one: it can only be replaced or thrown away. */
export class DamagedStoreError extends ConfigError {}

/** The plan of a pipeline can't work as it was built: a fault of the product or of its task's config, found before anything runs. */
export class PlanError extends MillraceError {
  override readonly name = "PlanError";
}

/** Where in the input a data error arose. */
export interface EventPlace {
  readonly origin: Origin;
  readonly offset: Position;
}

/** What was given as the place of each data error. Not a field, since an event's value must not travel on with its error. */
const given = new WeakMap<DataError, EventPlace>();

/** This event will never pass: it can't be decoded, or a product's function threw on it. Trying again would not help. */
export class DataError extends MillraceError {
  override readonly name = "DataError";
  /** The name of the step (or source, or sink) that refused the event. */
  readonly step: string;
  readonly place: EventPlace | undefined;

  constructor(step: string, place: EventPlace | undefined, cause: unknown) {
    const at = place === undefined ? "" : ` at ${placeOf(place.origin, place.offset)}`;
    super(`step "${step}"${at}: ${messageOf(cause)}`, { cause });
    this.step = step;
    // An event may be given as its place; its value must not travel on with the error.
    this.place = place && { origin: place.origin, offset: place.offset };
    if (place !== undefined) given.set(this, place);
  }
}

/** Whether an error names exactly this event: several events can have one place, as those that a step made of one record. */
export function isOf(error: DataError, event: EventPlace): boolean {
  return given.get(error) === event;
}

/** What a model threw or answered wrongly, told with its name and version. Policies by class go by the cause. */
export class ModelError extends MillraceError {
  override readonly name = "ModelError";

  constructor(model: { readonly name: string; readonly version: string }, cause: unknown) {
    super(`model ${model.name}@${model.version}: ${messageOf(cause)}`, { cause });
  }
}

/** A model can't take this input: its shape, type or range is wrong. It would be refused again. */
export class InputError extends MillraceError {
  override readonly name = "InputError";
}

/** A model that is elsewhere was asked, and refused or gave no proper answer; it would do the same again, so it is not asked again. */
export class RefusedError extends MillraceError {
  override readonly name = "RefusedError";
}

/** Something that Millrace depends on is away or refuses: it may pass later, so it is waited for and tried again. */
export class InfrastructureError extends MillraceError {
  override readonly name: string = "InfrastructureError";
}

/** What a task needs does not exist yet (a topic, a stream, a table): the task stays `starting` and tries again. */
export class NotReadyError extends InfrastructureError {
  override readonly name = "NotReadyError";
}

/** A partition now belongs to another member: its work is given up, nothing more of it may be committed. */
export class OwnershipLostError extends InfrastructureError {
  override readonly name = "OwnershipLostError";
}

/** The reason of an abort that was asked for: finish what was read, commit, and end. Not an error. */
export class PlannedStop extends MillraceError {
  override readonly name = "PlannedStop";
}

/** What was thrown first, where closing what was in use threw as well. */
export function firstThrown(thrown: unknown): unknown {
  return thrown instanceof SuppressedError ? firstThrown(thrown.suppressed) : thrown;
}

/** The message of whatever was thrown, without a stack trace. Never throws itself: products throw things that can't be read. */
export function messageOf(thrown: unknown): string {
  try {
    if (thrown instanceof AggregateError && thrown.message === "") return thrown.errors.map(messageOf).join("; ");
    if (!(thrown instanceof Error)) return String(thrown);
    const message: unknown = thrown.message === "" ? thrown.name : thrown.message;
    return String(message);
  } catch {
    return "something was thrown that can't be read";
  }
}

/** What was thrown may hold data, and a pipe only takes so much. Characters. */
const LONGEST = 4000;

/** A text that tells of a fault, cut where nobody reads on. */
export function shortened(text: string, longest = LONGEST): string {
  return text.length <= longest ? text : `${text.slice(0, longest)}… (${text.length} characters)`;
}

/** The stack trace of whatever was thrown, where it has one. Never throws itself. */
export function stackOf(thrown: unknown): string | undefined {
  try {
    const stack: unknown = thrown instanceof Error ? thrown.stack : undefined;
    return typeof stack === "string" ? stack : undefined;
  } catch {
    return undefined;
  }
}
