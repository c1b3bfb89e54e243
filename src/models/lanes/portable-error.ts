import {
  ConfigError,
  DataError,
  InfrastructureError,
  InputError,
  messageOf,
  MillraceError,
  ModelError,
  NotReadyError,
  OwnershipLostError,
  PlanError,
  shortened,
  stackOf,
} from "../../errors.ts";
import { CallTimeoutError } from "../../pipeline/call.ts";
import { classesOf } from "../../pipeline/error-class.ts";
import { RetryableError } from "../../pipeline/retry.ts";

/** An error as plain data. */
export type PortableError =
  | {
      readonly classes: readonly string[];
      readonly message: string;
      readonly stack: string | undefined;
      readonly cause: PortableError | undefined;
      /** Plain fields of its own, such as `retryAfter` and `code`. */
      readonly fields: Readonly<Record<string, unknown>>;
    }
  /** Something that is no Error was thrown. */
  | { readonly thrown: unknown };

type ErrorClass = abstract new (...given: never[]) => Error;

/** Classes that are the same on both sides. Those of products are made anew by their names. */
const KNOWN: ReadonlyMap<string, ErrorClass> = new Map(
  (
    [
      MillraceError,
      ConfigError,
      DataError,
      InfrastructureError,
      InputError,
      ModelError,
      NotReadyError,
      OwnershipLostError,
      PlanError,
      RetryableError,
      CallTimeoutError,
      Error,
      EvalError,
      RangeError,
      ReferenceError,
      SyntaxError,
      TypeError,
      URIError,
    ] as readonly ErrorClass[]
  ).map((type) => [type.name, type]),
);

/** How deep causes are told, and how many fields. */
const DEPTH = 4;
const FIELDS = 20;

/** What was thrown, as data that survives the way from a lane. Never throws. */
export function portable(thrown: unknown, depth = DEPTH): PortableError {
  if (!(thrown instanceof Error)) return { thrown: isPlain(thrown) ? thrown : messageOf(thrown) };
  const stack = stackOf(thrown);
  const { cause } = thrown;
  return {
    classes: classNames(thrown),
    message: shortened(messageOf(thrown)),
    stack: stack === undefined ? undefined : shortened(stack),
    cause: cause === undefined || depth === 0 ? undefined : portable(cause, depth - 1),
    fields: plainFields(thrown),
  };
}

/** The error of a lane as one of this side: of the same class where both sides have it, of one of the same names otherwise. */
export function revived(error: PortableError): unknown {
  if ("thrown" in error) return error.thrown;
  const own = new Error(error.message, error.cause === undefined ? undefined : { cause: revived(error.cause) });
  const known = error.classes.findIndex((name) => KNOWN.has(name));
  const base = (known === -1 ? undefined : KNOWN.get(error.classes[known] as string)) ?? Error;
  Object.setPrototypeOf(own, classOfNames(error.classes.slice(0, Math.max(0, known)), base).prototype as object);
  for (const [name, value] of Object.entries(error.fields)) {
    Object.defineProperty(own, name, { value, configurable: true, writable: true, enumerable: true });
  }
  const name = error.classes[0] ?? "Error";
  if (own.name !== name) Object.defineProperty(own, "name", { value: name, configurable: true, writable: true, enumerable: true });
  if (error.stack !== undefined) Object.defineProperty(own, "stack", { value: error.stack, configurable: true, writable: true });
  return own;
}

/** From the most particular. Of an error of Millrace's without what it wraps, which is told as its cause. */
function classNames(error: Error): string[] {
  const names: string[] = [];
  for (let type: unknown = Object.getPrototypeOf(error); type instanceof Object; type = Object.getPrototypeOf(type)) {
    const name: unknown = type.constructor.name;
    if (typeof name === "string" && name !== "" && name !== "Object" && !names.includes(name)) names.push(name);
  }
  const own = classesOf(error)[0];
  // A name that an error of a product gives itself.
  if (own !== undefined && !names.includes(own) && !(error instanceof MillraceError)) names.unshift(own);
  return names;
}

/** Made once for each row of names, and only so many: whoever makes names up gets plain errors. */
const made = new Map<string, ErrorClass>();
const MOST_MADE = 200;

/** A class with these names, the most particular first, over a known one: policies by class see what they would in the worker. */
function classOfNames(names: readonly string[], base: ErrorClass): ErrorClass {
  const [name, ...rest] = names;
  if (name === undefined) return base;
  const key = [...names, base.name].join(" ");
  const found = made.get(key);
  if (found !== undefined || made.size >= MOST_MADE) return found ?? base;
  const parent = classOfNames(rest, base) as new () => Error;
  const type = { [name]: class extends parent {} }[name] as ErrorClass;
  made.set(key, type);
  return type;
}

function plainFields(error: Error): Record<string, unknown> {
  const fields: Record<string, unknown> = {};
  try {
    for (const [name, value] of Object.entries(error).slice(0, FIELDS)) {
      if (name !== "name" && name !== "cause" && name !== "stack" && name !== "message" && isPlain(value)) fields[name] = value;
    }
  } catch {
    // Products throw things whose fields throw.
  }
  return fields;
}

/** Text, numbers and the like, and short arrays and objects of them. */
function isPlain(value: unknown, depth = 2): boolean {
  if (value === null || ["undefined", "string", "number", "boolean", "bigint"].includes(typeof value)) return true;
  if (typeof value !== "object" || depth === 0) return false;
  const proto: unknown = Object.getPrototypeOf(value);
  if (!Array.isArray(value) && proto !== Object.prototype && proto !== null) return false;
  const values: unknown[] = Object.values(value);
  return values.length <= 100 && values.every((each) => isPlain(each, depth - 1));
}
