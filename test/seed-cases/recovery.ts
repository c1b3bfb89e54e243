import type { ErrorHandler, ErrorPolicy } from "millrace";

import type { SeedCase } from "./case.ts";
import { field, isFields } from "./case.ts";
import { rootOf, told } from "./python-error.ts";
import { functionOf } from "./python.ts";
import { AnyOf } from "./seen.ts";

/** The name of the step behind the one that a case is about. */
export const BEHIND = "Downstream";

/** What a case's recovery step gets to see. */
export interface Recovered {
  readonly body: unknown;
  readonly error: unknown;
  readonly step: string;
}

/** What becomes of failed events in a case. */
export interface Recovery {
  readonly policy: ErrorPolicy | undefined;
  /** Whether there is an error stream: what is not recovered goes there. */
  readonly pushes: boolean;
  readonly recovered: readonly Recovered[];
  /** Offsets of the events that were recovered. */
  readonly offsets: ReadonlySet<number>;
}

/** Reads what a case says of its recovery step and its error stream. */
export function recoveryOf({ feature, config, input, expected }: SeedCase): Recovery {
  const pushes = /push_error|error[ _]stream/i.test(
    JSON.stringify([feature, config, input]).replaceAll(/no (?:push_error|error[ _]stream)/gi, ""),
  );
  const step = config["recovery_step"] ?? field(input, "recovery_step");
  const recovered: Recovered[] = [];
  const offsets = new Set<number>();
  const otherwise = pushes ? "deadLetter" : "fail";
  const hasNone = step === undefined && (!/recovery/i.test(feature) || /(?:w\/o|without|no) recovery/i.test(feature));
  if (hasNone) return { policy: pushes ? "deadLetter" : undefined, pushes, recovered, offsets };
  const given = config["handler"] ?? config["recovery_fn"] ?? field(input, "handler");
  const value = functionOf(typeof given === "string" ? given : "x");
  // What only tells what it saw ends there; else its result goes on behind the step.
  const ends = field(expected, "handler_saw") !== undefined;
  const handle: ErrorHandler = ({ event, error, step: origin }) => {
    const root = rootOf(error);
    const name = root instanceof Error ? root.name : "";
    if (isFields(step) && !Object.hasOwn(step, name)) return otherwise;
    recovered.push({ body: event.value, error, step: origin });
    offsets.add(event.offset);
    return ends ? "skip" : { value: value(event.value) };
  };
  return { policy: { handle }, pushes, recovered, offsets };
}

/** What a recovery step saw, in the forms in which a case may tell it. */
export function sawOf(recovered: readonly Recovered[], wanted: unknown): unknown {
  return recovered.map((one, index) => formOf(one, Array.isArray(wanted) ? wanted[index] : undefined));
}

function formOf({ body, error, step }: Recovered, wanted: unknown): unknown {
  const root = rootOf(error);
  const text = root instanceof Error ? root.message : String(root);
  const name = root instanceof Error ? root.name : "";
  const errors = new AnyOf(told(error), text, name, `${name}('${text}')`);
  if (Array.isArray(wanted)) return wanted.map((each: unknown) => new AnyOf(body, errors, originOf(step, each)));
  if (!isFields(wanted)) return new AnyOf(body, errors);
  const form = (field: string) => {
    if (/body|event|value/.test(field)) return body;
    return /origin|step|source/.test(field) ? originOf(step, wanted[field]) : errors;
  };
  return Object.fromEntries(Object.keys(wanted).map((field) => [field, form(field)]));
}

/** A case may have names of its own for the step and the one behind it: each must be the one that failed. */
function originOf(step: string, wanted: unknown): unknown {
  if (typeof wanted !== "string" || !/^[A-Za-z]\w*$/.test(wanted)) return step;
  const isBehind = /^(?:map|down)/i.test(wanted);
  return isBehind === (step === BEHIND) ? new AnyOf(step, wanted) : step;
}
