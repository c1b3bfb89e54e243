import { UnknownCase } from "./case.ts";

/** A piece of an expression in Python. */
export interface Token {
  readonly kind: "number" | "text" | "name" | "operator" | "end";
  readonly text: string;
}

const PATTERN =
  /\s*(?:(?<number>(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)|(?<quoted>'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|(?<name>[A-Za-z_]\w*)|(?<operator>\*\*|\/\/|==|!=|<=|>=|[-+*/%<>()[\]{},:.=]))/y;

/** @throws {UnknownCase} at what is no Python, or none that is needed here */
export function tokensOf(source: string): readonly Token[] {
  const tokens: Token[] = [];
  let at = 0;
  const end = source.trimEnd().length;
  while (at < end) {
    PATTERN.lastIndex = at;
    const groups = PATTERN.exec(source)?.groups;
    if (groups === undefined) throw new UnknownCase(`can't read ${JSON.stringify(source)} at ${at}`);
    at = PATTERN.lastIndex;
    const { number, quoted, name, operator } = groups;
    if (number !== undefined) tokens.push({ kind: "number", text: number });
    else if (quoted !== undefined) tokens.push({ kind: "text", text: unquoted(quoted) });
    else if (name !== undefined) tokens.push({ kind: "name", text: name });
    else tokens.push({ kind: "operator", text: operator ?? "" });
  }
  tokens.push({ kind: "end", text: "" });
  return tokens;
}

function unquoted(quoted: string): string {
  return quoted.slice(1, -1).replaceAll(/\\(.)/g, (_, escaped: string) => ({ n: "\n", t: "\t" })[escaped] ?? escaped);
}
