import type { z } from "zod";

import { didYouMean } from "../near-miss.ts";

type Issue = z.core.$ZodIssue;
type Path = readonly PropertyKey[];

/**
 * What a zod schema found wrong, one line for each issue: the path and what would be right. Values are not shown, as they
 * may be secrets.
 * @param root the name of the value that was parsed, before every path: `config`
 * @param schema the schema as JSON Schema, for suggestions on unknown keys
 */
export function describeIssues(issues: readonly Issue[], root: string, schema?: unknown): readonly string[] {
  const lines = issues.flatMap((issue) => describeIssue(issue, [], root, schema));
  return [...new Set(lines)];
}

function describeIssue(issue: Issue, above: Path, root: string, schema: unknown): readonly string[] {
  const path = [...above, ...issue.path];
  if (issue.code === "unrecognized_keys") {
    const known = keysAt(schema, path);
    return issue.keys.map((key) => `${pathText(root, [...path, key])}: unknown key${didYouMean(key, known).replace(/^ /, ". ")}`);
  }
  if (issue.code === "invalid_union") {
    const branch = nearestBranch(issue.errors);
    if (branch !== undefined) return branch.flatMap((inner) => describeIssue(inner, path, root, schema));
    const messages = issue.errors.flat().map((inner) => inner.message.replace("Invalid input: ", ""));
    if (messages.length > 0 && issue.message === "Invalid input")
      return [`${pathText(root, path) || "it"}: ${[...new Set(messages)].join(", or ")}`];
  }
  const missing = issue.code === "invalid_type" && issue.message.endsWith("received undefined");
  return [`${pathText(root, path) || "it"}: ${missing ? `is missing (${issue.expected})` : issue.message}`];
}

/**
 * The branch of a union that was probably meant: the one that got furthest into the value before it failed, then the one
 * with the fewest complaints. Undefined when none got any further than the value itself.
 */
function nearestBranch(branches: readonly (readonly Issue[])[]): readonly Issue[] | undefined {
  let best: readonly Issue[] | undefined;
  let bestScore = 0;
  for (const branch of branches) {
    const depth = Math.max(0, ...branch.map(depthOf));
    const score = depth === 0 ? 0 : depth + 1 / (1 + branch.length);
    if (score <= bestScore) continue;
    best = branch;
    bestScore = score;
  }
  return best;
}

function depthOf(issue: Issue): number {
  const within = issue.code === "invalid_union" ? Math.max(0, ...issue.errors.flat().map(depthOf)) : 0;
  return issue.path.length + within;
}

/** `config.input.topics[0]` */
export function pathText(root: string, path: Path): string {
  let text = root;
  for (const part of path) {
    if (typeof part === "number") text += `[${part}]`;
    else if (typeof part === "string" && /^[A-Za-z_$][\w$]*$/.test(part)) text += text === "" ? part : `.${part}`;
    else text += `[${JSON.stringify(String(part))}]`;
  }
  return text;
}

/** The keys that a JSON Schema allows at a path, over all branches of its unions. */
function keysAt(schema: unknown, path: Path): readonly string[] {
  let here = [schema];
  for (const part of path) here = here.flatMap(branchesOf).flatMap((branch) => childOf(branch, part));
  return here.flatMap(branchesOf).flatMap((branch) => Object.keys(objectAt(branch, "properties")));
}

function branchesOf(schema: unknown): readonly unknown[] {
  const unions = ["anyOf", "oneOf", "allOf"].flatMap((kind) => {
    const members = isObject(schema) ? schema[kind] : undefined;
    return Array.isArray(members) ? members.flatMap(branchesOf) : [];
  });
  return [schema, ...unions];
}

function childOf(schema: unknown, part: PropertyKey): readonly unknown[] {
  if (!isObject(schema)) return [];
  if (typeof part === "number") return [schema["items"]];
  const properties = objectAt(schema, "properties");
  const key = String(part);
  return Object.hasOwn(properties, key) ? [properties[key]] : [];
}

function objectAt(schema: unknown, key: string): Readonly<Record<string, unknown>> {
  const value = isObject(schema) ? schema[key] : undefined;
  return isObject(value) ? value : {};
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
