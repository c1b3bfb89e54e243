import { isDeepStrictEqual } from "node:util";

import type { Fields } from "./case.ts";
import { isFields, UnknownCase } from "./case.ts";
import { PythonError } from "./python-error.ts";

/** Whether Python takes it for true. */
export function isTrue(value: unknown): boolean {
  if (Array.isArray(value)) return value.length > 0;
  if (isFields(value)) return Object.keys(value).length > 0;
  return Boolean(value);
}

const ARITHMETIC: Readonly<Record<string, (a: number, b: number) => number>> = {
  "+": (a, b) => a + b,
  "-": (a, b) => a - b,
  "*": (a, b) => a * b,
  "/": (a, b) => divided(a, b),
  "//": (a, b) => Math.floor(divided(a, b)),
  "%": (a, b) => a - b * Math.floor(divided(a, b)),
  "**": (a, b) => a ** b,
};

function divided(a: number, b: number): number {
  if (b === 0) throw new PythonError("ZeroDivisionError", "division by zero");
  return a / b;
}

/** `a operator b`, of numbers, text and lists. */
export function calculated(operator: string, a: unknown, b: unknown): unknown {
  if (operator === "+" && typeof a === "string" && typeof b === "string") return a + b;
  if (operator === "+" && Array.isArray(a) && Array.isArray(b)) return [...(a as unknown[]), ...(b as unknown[])];
  if (operator === "*" && typeof b === "number" && typeof a === "string") return a.repeat(Math.max(0, b));
  if (operator === "*" && typeof b === "number" && Array.isArray(a)) return Array.from({ length: b }, () => a as unknown[]).flat();
  const calculate = ARITHMETIC[operator];
  if (calculate === undefined || !isNumber(a) || !isNumber(b)) {
    throw new PythonError("TypeError", `unsupported operand type(s) for ${operator}: '${typeName(a)}' and '${typeName(b)}'`);
  }
  return calculate(Number(a), Number(b));
}

/** `a operator b` as true or false. */
export function compared(operator: string, a: unknown, b: unknown): boolean {
  switch (operator) {
    case "==":
      return isDeepStrictEqual(a, b);
    case "!=":
      return !isDeepStrictEqual(a, b);
    case "is":
      return a === b;
    case "is not":
      return a !== b;
    case "in":
      return contains(b, a);
    case "not in":
      return !contains(b, a);
    default:
      return ordered(operator, a, b);
  }
}

function contains(container: unknown, item: unknown): boolean {
  if (typeof container === "string") return container.includes(String(item));
  if (Array.isArray(container)) return container.some((each) => isDeepStrictEqual(each, item));
  return isFields(container) && Object.hasOwn(container, String(item));
}

function ordered(operator: string, a: unknown, b: unknown): boolean {
  const comparable = (isNumber(a) && isNumber(b)) || (typeof a === "string" && typeof b === "string");
  if (!comparable) {
    throw new PythonError("TypeError", `'${operator}' not supported between instances of '${typeName(a)}' and '${typeName(b)}'`);
  }
  if (operator === "<") return a < b;
  if (operator === ">") return a > b;
  return operator === "<=" ? a <= b : a >= b;
}

function isNumber(value: unknown): value is number | boolean {
  return typeof value === "number" || typeof value === "boolean";
}

/** `of[key]` */
export function item(of: unknown, key: unknown): unknown {
  if ((Array.isArray(of) || typeof of === "string") && typeof key === "number") {
    const found: unknown = of.at(key);
    if (found === undefined) throw new PythonError("IndexError", `${typeName(of)} index out of range`);
    return found;
  }
  if (!isFields(of)) throw new PythonError("TypeError", `'${typeName(of)}' object is not subscriptable`);
  const name = String(key);
  if (!Object.hasOwn(of, name)) throw new PythonError("KeyError", repr(key));
  return of[name];
}

/** The name of its type in Python. */
export function typeName(value: unknown): string {
  if (value === null || value === undefined) return "NoneType";
  if (Array.isArray(value)) return "list";
  if (typeof value === "number") return Number.isInteger(value) ? "int" : "float";
  return { string: "str", boolean: "bool", object: "dict", function: "function" }[typeof value as string] ?? typeof value;
}

/** `repr(value)` */
export function repr(value: unknown): string {
  if (typeof value === "string") return `'${value}'`;
  if (Array.isArray(value)) return `[${value.map(repr).join(", ")}]`;
  if (isFields(value))
    return `{${Object.entries(value)
      .map(([name, each]) => `${repr(name)}: ${repr(each)}`)
      .join(", ")}}`;
  return text(value);
}

/** `str(value)` */
export function text(value: unknown): string {
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  return typeof value === "object" ? repr(value) : `${value as number}`;
}

type Builtin = (...given: readonly unknown[]) => unknown;

const BUILTINS: Readonly<Record<string, Builtin>> = {
  len: (of) => (typeof of === "string" || Array.isArray(of) ? of.length : Object.keys(of as Fields).length),
  str: (of) => text(of),
  int: (of) => Math.trunc(Number(of)),
  float: (of) => Number(of),
  bool: (of) => isTrue(of),
  abs: (of) => Math.abs(Number(of)),
  round: (of) => Math.round(Number(of)),
  sum: (of) => numbers([of]).reduce((a, b) => a + b, 0),
  min: (...of) => Math.min(...numbers(of)),
  max: (...of) => Math.max(...numbers(of)),
  sorted: (of) => (of as readonly unknown[]).toSorted((a, b) => Number(compared(">", a, b)) - Number(compared("<", a, b))),
  list: (of) => [...(of as readonly unknown[])],
  tuple: (of) => [...(of as readonly unknown[])],
  dict: (of) => ({ ...(of as Fields) }),
  range: (from, to) => {
    const [first, end] = to === undefined ? [0, Number(from)] : [Number(from), Number(to)];
    return Array.from({ length: Math.max(0, end - first) }, (_, index) => first + index);
  },
};

function numbers(of: readonly unknown[]): readonly number[] {
  return (of.length === 1 && Array.isArray(of[0]) ? (of[0] as readonly unknown[]) : of).map(Number);
}

/** A function of Python's own. */
export function builtin(name: string): Builtin {
  const found = Object.hasOwn(BUILTINS, name) ? BUILTINS[name] : undefined;
  if (found === undefined) throw new UnknownCase(`there is nothing named ${name}`);
  return found;
}

/** `of.name`: a method of text or of a dict, or a field of what stands for an object. */
export function attribute(of: unknown, name: string): unknown {
  if (typeof of === "string") {
    const methods: Readonly<Record<string, Builtin>> = {
      upper: () => of.toUpperCase(),
      lower: () => of.toLowerCase(),
      strip: () => of.trim(),
      split: (by) => (by === undefined ? of.trim().split(/\s+/) : of.split(text(by))),
      startswith: (by) => of.startsWith(text(by)),
      endswith: (by) => of.endsWith(text(by)),
    };
    if (Object.hasOwn(methods, name)) return methods[name];
  }
  if (isFields(of)) {
    if (name === "get")
      return (key: unknown, otherwise: unknown) => (Object.hasOwn(of, String(key)) ? of[String(key)] : (otherwise ?? null));
    if (name === "keys") return () => Object.keys(of);
    if (name === "values") return () => Object.values(of);
    if (name === "items") return () => Object.entries(of);
    if (Object.hasOwn(of, name)) return of[name];
  }
  throw new PythonError("AttributeError", `'${typeName(of)}' object has no attribute '${name}'`);
}
