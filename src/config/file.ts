/** Reads a settings file: YAML (JSON is a part of it), with the line of each setting. */
import { readFileSync } from "node:fs";
import { dirname } from "node:path";

import { isAlias, isMap, isPair, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import type { Document, Node, Pair } from "yaml";

import { messageOf, type Fault } from "../errors.ts";
import { resolveReferences } from "../secrets.ts";
import { formats, type Leaf } from "./formats.ts";
import { isLeaf, leaves, schema, shorthands } from "./schema.ts";
import type { Section } from "./schema.ts";
import { unknownSetting } from "./unknown.ts";

export interface SettingsFile {
  /** Of each setting that the file gives, by path. */
  readonly values: ReadonlyMap<string, unknown>;
  /** Paths whose value holds `${env:…}` or `${file:…}`. */
  readonly referring: ReadonlySet<string>;
  /** What the references stood for. */
  readonly secrets: readonly string[];
  readonly faults: readonly Fault[];
  /** Settings that the file gives in a form that can't be used; they are not among the values. */
  readonly faulty: ReadonlySet<string>;
  /** Whether nothing of the file could be read. */
  readonly unread: boolean;
  /** The line of a setting, or of a place within its value: `tasks[0].sql.url`. The nearest known one around it. */
  lineOf(path: string): number;
}

/**
 * Reads a settings file.
 * @param path absolute
 * @param shown how it is named in messages
 */
export function readSettingsFile(path: string, shown: string): SettingsFile {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    return faulty([{ where: shown, what: `the settings file can't be read: ${reasonOf(error)}` }]);
  }
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: true });
  if (document.errors.length > 0) {
    return faulty(
      document.errors.map((error) => {
        const { line, col } = lines.linePos(error.pos[0]);
        return { where: `${shown}:${line}:${col}`, what: `broken YAML: ${error.message}` };
      }),
    );
  }
  return new FileReader(document, lines, shown).read(dirname(path));
}

function faulty(faults: readonly Fault[]): SettingsFile {
  return { values: new Map(), referring: new Set(), secrets: [], faults, faulty: new Set(), unread: true, lineOf: () => 1 };
}

/** `EACCES: permission denied, open '…'` → `permission denied`. */
function reasonOf(error: unknown): string {
  const { code } = error as NodeJS.ErrnoException;
  if (code === "ENOENT") return "there is no such file";
  if (code === "EACCES") return "permission denied";
  if (code === "EISDIR") return "it is a folder";
  return messageOf(error);
}

class FileReader {
  readonly #document: Document;
  readonly #counter: LineCounter;
  readonly #shown: string;
  readonly #lines = new Map<string, number>();
  readonly #values = new Map<string, unknown>();
  readonly #faulty = new Set<string>();
  readonly #faults: Fault[] = [];

  constructor(document: Document, counter: LineCounter, shown: string) {
    this.#document = document;
    this.#counter = counter;
    this.#shown = shown;
  }

  read(folder: string): SettingsFile {
    const root = this.#resolved(this.#document.contents);
    if (isMap(root)) this.#readSection(root.items, schema, "");
    else if (root !== undefined && !(isScalar(root) && root.value === null)) {
      this.#faults.push({ where: `${this.#shown}:1`, what: "a settings file is a map of settings, such as `workers: 2`" });
    }
    const secrets = new Set<string>();
    const referring = new Set<string>();
    for (const [path, written] of this.#values) {
      const { value, secrets: found, faults } = resolveReferences(written, folder);
      this.#values.set(path, value);
      for (const secret of found) secrets.add(secret);
      if (found.length > 0) referring.add(path);
      for (const fault of faults) this.#fault(path + fault.path.map(step).join(""), fault.what);
      if (faults.length === 0) continue;
      this.#values.delete(path);
      this.#faulty.add(path);
    }
    return {
      values: this.#values,
      referring,
      secrets: [...secrets],
      faults: this.#faults,
      faulty: this.#faulty,
      unread: false,
      lineOf: (path) => this.#lineOf(path),
    };
  }

  #readSection(pairs: readonly Pair[], section: Section, prefix: string): void {
    for (const pair of pairs) {
      const name = isScalar(pair.key) ? String(pair.key.value) : String(pair.key);
      const path = prefix + name;
      this.#note(path, pair.key);
      const node = this.#resolved(pair.value);
      const known = Object.hasOwn(section, name) ? section[name] : undefined;
      const short = shorthands.get(path);
      if (known === undefined) this.#fault(path, unknownSetting(path), "");
      else if (isLeaf(known)) this.#readLeaf(path, node, known);
      else if (isMap(node)) this.#readSection(node.items, known, `${path}.`);
      else if (isScalar(node) && node.value !== null && short !== undefined) this.#readShort(path, short, node);
      else if (node !== undefined && !(isScalar(node) && node.value === null)) {
        this.#fault(path, `must be a map with ${Object.keys(known).join(", ")}`);
      }
    }
  }

  #readLeaf(path: string, node: Node | undefined, leaf: Leaf, writtenAs: string = path): void {
    const value: unknown = node?.toJS(this.#document) ?? null;
    this.#lines.set(path, this.#lineOf(writtenAs));
    this.#noteWithin(path, node);
    const usable = (!isMap(node) || formats[leaf.format].isMap === true) && (value !== null || leaf.nullable === true);
    if (usable) this.#values.set(path, value);
    else this.#faulty.add(path);
    if (value === null && leaf.nullable !== true) this.#fault(writtenAs, "has no value; leave the line out for the default");
    else if (isMap(node) && !usable) this.#faultsOfMap(path, value, leaf);
  }

  /** A plain value in the place of a section. */
  #readShort(writtenAs: string, path: string, node: Node): void {
    const leaf = leaves.get(path);
    if (leaf !== undefined) this.#readLeaf(path, node, leaf, writtenAs);
  }

  /** Convict would take the keys of a map for settings. */
  #faultsOfMap(path: string, value: unknown, leaf: Leaf): void {
    for (const problem of formats[leaf.format].check(value, leaf)) this.#fault(path + problem.within, problem.what);
  }

  /** Notes the lines of everything within a value. */
  #noteWithin(path: string, node: Node | undefined): void {
    if (isSeq(node)) {
      node.items.forEach((item, index) => {
        this.#note(`${path}[${index}]`, item);
        this.#noteWithin(`${path}[${index}]`, item as Node);
      });
    }
    if (!isMap(node)) return;
    for (const pair of node.items.filter((item) => isPair(item))) {
      const within = `${path}.${String(isScalar(pair.key) ? pair.key.value : pair.key)}`;
      this.#note(within, pair.key);
      this.#noteWithin(within, pair.value as Node);
    }
  }

  #note(path: string, node: unknown): void {
    const start = (node as Node | null)?.range?.[0];
    if (start !== undefined) this.#lines.set(path, this.#counter.linePos(start).line);
  }

  #lineOf(path: string): number {
    for (let around = path; around !== ""; around = around.replace(/(?:\.[^.[]*|\[\d+\]|^[^.[]*)$/, "")) {
      const line = this.#lines.get(around);
      if (line !== undefined) return line;
    }
    return 1;
  }

  #fault(path: string, what: string, named: string = `${path}: `): void {
    this.#faults.push({ where: `${this.#shown}:${this.#lineOf(path)}`, what: named + what });
  }

  #resolved(node: unknown): Node | undefined {
    return ((isAlias(node) ? node.resolve(this.#document) : node) as Node | null | undefined) ?? undefined;
  }
}

function step(key: string | number): string {
  return typeof key === "number" ? `[${key}]` : `.${key}`;
}
