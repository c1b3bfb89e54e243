import { isMap, isSeq, LineCounter, parseAllDocuments } from "yaml";
import type { Document, Node } from "yaml";

import { MillraceError } from "../../errors.ts";

/** A task as a file has it. */
export interface WrittenTask {
  readonly value: unknown;
  /** Where it begins, from 1; undefined when it is the whole file. */
  readonly line: number | undefined;
}

/** A file of tasks that can't be read as a whole. */
export class TaskFileError extends MillraceError {
  override readonly name = "TaskFileError";
  /** From 1. */
  readonly line: number | undefined;

  constructor(message: string, line: number | undefined, options?: ErrorOptions) {
    super(message, options);
    this.line = line;
  }
}

/**
 * Reads a file of tasks: one task, or a list of them; in YAML also several documents of either. A file without any text
 * is an error, as it is what a half-written file looks like; one with only comments, or `[]`, has no task.
 * A byte order mark is skipped.
 * @param name ends in `.json` when it is JSON
 * @throws {TaskFileError} with the line, when it is neither
 */
export function parseTaskFile(name: string, text: string): readonly WrittenTask[] {
  const unmarked = text.replace(/^\uFEFF/, "");
  if (unmarked.trim() === "") throw new TaskFileError("the file is empty; write [] when it shall have no task", undefined);
  return /\.json$/i.test(name) ? parseJson(unmarked) : parseYaml(unmarked);
}

function parseJson(text: string): readonly WrittenTask[] {
  try {
    JSON.parse(text);
  } catch (error) {
    throw jsonError(text, error);
  }
  // JSON is YAML, and YAML knows the lines.
  return parseYaml(text);
}

/** The parser's message quotes the text around the fault, which may be a secret: only what and where is kept. */
function jsonError(text: string, error: unknown): TaskFileError {
  const message = error instanceof Error ? error.message : "";
  const position = /position (\d+)/.exec(message)?.[1];
  const offset = position === undefined ? text.length : Number(position);
  const before = text.slice(0, offset);
  const line = before.split("\n").length;
  const found = offset >= text.trimEnd().length ? "unexpected end of the file" : "unexpected text";
  return new TaskFileError(`broken JSON: ${found} at column ${offset - before.lastIndexOf("\n")}`, line);
}

function parseYaml(text: string): readonly WrittenTask[] {
  const lines = new LineCounter();
  // Without code frames in its messages, which would show the text around the fault.
  const documents = parseAllDocuments(text, { lineCounter: lines, prettyErrors: false, merge: true });
  const written = Array.isArray(documents) ? documents : [];
  return written.flatMap((document) => tasksOf(document, lines));
}

function tasksOf(document: Document.Parsed, lines: LineCounter): readonly WrittenTask[] {
  const [error] = document.errors;
  if (error !== undefined) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw new TaskFileError(`broken YAML at column ${col}: ${error.message}`, line);
  }
  const root: unknown = document.contents;
  if (root === null) return [];
  if (isMap(root)) return [{ value: plain(document, root), line: lineOf(root, lines) }];
  if (isSeq(root)) return root.items.map((item) => ({ value: plain(document, item), line: lineOf(item, lines) }));
  if (document.toJS() === null) return [];
  throw new TaskFileError("a file of tasks holds one task ({ id, product, config }) or a list of them", lineOf(root, lines));
}

/** Aliases beyond this many nodes are an attack or a mistake ("billion laughs"). */
const MOST_ALIASES = 1000;

function plain(document: Document.Parsed, node: unknown): unknown {
  try {
    return (node as Node).toJS(document, { maxAliasCount: MOST_ALIASES }) as unknown;
  } catch (error) {
    throw new TaskFileError(`broken YAML: ${error instanceof Error ? error.message : String(error)}`, undefined, { cause: error });
  }
}

function lineOf(node: unknown, lines: LineCounter): number | undefined {
  const start = (node as Partial<Node> | null)?.range?.[0];
  return start === undefined ? undefined : lines.linePos(start).line;
}
