import { fileURLToPath } from "node:url";

import { z } from "zod";

import type { Fault } from "../errors.ts";
import { messageOf, stackOf } from "../errors.ts";
import { describeIssues } from "./schema-issues.ts";

/**
 * Where in a product an error arose, and what it is: the file and line of a syntax error, or of the first stack frame
 * within the product's folder.
 * @param file named when the error does not tell where it arose; by default the folder
 */
export function faultOf(thrown: unknown, file: string | undefined, folder: string): Fault {
  const stack = stackOf(thrown) ?? "";
  const parsedAt = syntaxErrorPlace(thrown, stack);
  const where = parsedAt ?? framePlace(stack, folder) ?? file ?? folder;
  return { where, what: parsedAt === undefined ? describe(thrown) : `syntax error: ${messageOf(thrown)}` };
}

function describe(thrown: unknown): string {
  const message = messageOf(thrown);
  if (!(thrown instanceof Error)) return `threw ${typeof thrown === "string" ? JSON.stringify(thrown) : message}`;
  if (propertyOf(thrown, "code") === "ERR_MODULE_NOT_FOUND")
    return message.replace(/\.?$/, "; is it installed, and does a relative import end in .ts?");
  const issues = issuesOf(thrown);
  if (issues !== undefined) return describeIssues(issues, "").join("; ");
  const name = propertyOf(thrown, "name");
  return typeof name !== "string" || name === "Error" ? message : `${name}: ${message}`;
}

/** What a schema refused: the message of such an error is all of it as JSON, over many lines. */
function issuesOf(thrown: Error): z.ZodError["issues"] | undefined {
  try {
    return thrown instanceof z.ZodError ? thrown.issues : undefined;
  } catch {
    // Zod reads a property to tell.
    return undefined;
  }
}

/** Undefined where reading it throws. */
function propertyOf(thrown: Error, name: string): unknown {
  try {
    return Reflect.get(thrown, name);
  } catch {
    return undefined;
  }
}

/** Node puts `FILE:LINE` above the message of a SyntaxError that came from parsing or linking a module. */
function syntaxErrorPlace(thrown: unknown, stack: string): string | undefined {
  if (!(thrown instanceof SyntaxError)) return undefined;
  const match = /^((?:file:\/\/)?\/.+):(\d+)$/m.exec(stack.slice(0, stack.indexOf("\n")));
  return match?.[1] === undefined ? undefined : `${path(match[1])}:${match[2]}`;
}

function framePlace(stack: string, folder: string): string | undefined {
  for (const [, file = "", line] of stack.matchAll(/^ {4}at .*?((?:file:\/\/)?\/\S+?):(\d+):\d+\)?$/gm)) {
    const place = path(file);
    if (place.startsWith(`${folder}/`)) return `${place}:${line}`;
  }
  return undefined;
}

/** A file's path, without the query that tells versions of a module apart. */
function path(file: string): string {
  return file.startsWith("file:") ? fileURLToPath(file) : file.replace(/\?.*$/, "");
}
