import { DataError, ModelError } from "../errors.ts";

/** What was thrown in the first place, where it has been told as a data error of its event, or as an error of a model. */
export function rootOf(error: unknown): unknown {
  return (error instanceof DataError || error instanceof ModelError) && error.cause instanceof Error ? rootOf(error.cause) : error;
}

/**
 * The classes of what was thrown, from the most particular to `Error`: its `name`, then the names of its class and of those that
 * this one extends. Nothing for what is no Error.
 */
export function classesOf(error: unknown): readonly string[] {
  const root = rootOf(error);
  if (!(root instanceof Error)) return [];
  const classes: string[] = [];
  // A class without a `name` of its own has that of Error, which says nothing: it is looked at last.
  const name = nameOf(root);
  if (name !== undefined && name !== "Error") classes.push(name);
  for (let type: unknown = Object.getPrototypeOf(root); type instanceof Object; type = Object.getPrototypeOf(type)) {
    const found = nameOf(type.constructor);
    if (found !== undefined && found !== "Object" && !classes.includes(found)) classes.push(found);
  }
  return classes;
}

/** The most particular class of what was thrown. */
export function classOf(error: unknown): string {
  const root = rootOf(error);
  return classesOf(error)[0] ?? (root === null ? "null" : typeof root);
}

/** Products throw things whose fields throw. */
function nameOf(given: unknown): string | undefined {
  try {
    const name: unknown = (given as { readonly name?: unknown }).name;
    return typeof name === "string" && name !== "" ? name : undefined;
  } catch {
    return undefined;
  }
}
