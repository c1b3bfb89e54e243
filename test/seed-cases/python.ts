/**
 * Expressions of Python, as cases have them for functions: `x > 3`, `[x, x*10]`, `{'tag': 's'}`, `event['a']`.
 */
import type { Fields } from "./case.ts";
import { UnknownCase } from "./case.ts";
import type { Token } from "./python-tokens.ts";
import { tokensOf } from "./python-tokens.ts";
import { attribute, builtin, calculated, compared, isTrue, item } from "./python-values.ts";

/** What an expression is in the light of the names that it uses. */
export type Expression = (names: Fields) => unknown;

/** @throws {UnknownCase} when it is none that is needed here */
export function expression(source: string): Expression {
  const parser = new Parser(tokensOf(source.replace(/^\s*lambda\s+\w+(?:\s*,\s*\w+)*\s*:/, "")));
  return parser.whole();
}

/** A function of one argument, by whatever name the expression has for it. */
export function functionOf(source: string): (value: unknown) => unknown {
  const evaluate = expression(source);
  const given = /^\s*lambda\s+(\w+)/.exec(source)?.[1];
  return (value) => evaluate({ x: value, event: value, e: value, body: value, ...(given === undefined ? {} : { [given]: value }) });
}

/** Binary operators by how strongly they bind. */
const LEVELS: readonly (readonly string[])[] = [
  ["+", "-"],
  ["*", "/", "//", "%"],
];
const COMPARISONS = new Set(["==", "!=", "<", ">", "<=", ">=", "in", "is", "not"]);

class Parser {
  readonly #tokens: readonly Token[];
  #at = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  whole(): Expression {
    const parsed = this.#tuple("end");
    if (this.#next.kind !== "end") throw new UnknownCase(`can't read on at ${JSON.stringify(this.#next.text)}`);
    return parsed;
  }

  get #next(): Token {
    return this.#tokens[this.#at] as Token;
  }

  #isAt(end: string): boolean {
    return this.#next.kind === "end" || this.#next.text === end;
  }

  #take(text: string): boolean {
    const { kind, text: next } = this.#next;
    if ((kind !== "operator" && kind !== "name") || next !== text) return false;
    this.#at += 1;
    return true;
  }

  #expect(text: string): void {
    if (!this.#take(text)) throw new UnknownCase(`expected ${text}, found ${JSON.stringify(this.#next.text)}`);
  }

  /** One value, or several with commas between them as a list. */
  #tuple(end: string): Expression {
    const first = this.#choice();
    if (!(this.#next.kind === "operator" && this.#next.text === ",")) return first;
    const all = [first];
    while (this.#take(",")) if (!this.#isAt(end)) all.push(this.#choice());
    return (names) => all.map((each) => each(names));
  }

  #choice(): Expression {
    const value = this.#or();
    if (!this.#take("if")) return value;
    const condition = this.#or();
    this.#expect("else");
    const otherwise = this.#choice();
    return (names) => (isTrue(condition(names)) ? value(names) : otherwise(names));
  }

  #or(): Expression {
    let left = this.#and();
    while (this.#take("or")) {
      const [a, b] = [left, this.#and()];
      left = (names) => {
        const first = a(names);
        return isTrue(first) ? first : b(names);
      };
    }
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.#take("and")) {
      const [a, b] = [left, this.#not()];
      left = (names) => {
        const first = a(names);
        return isTrue(first) ? b(names) : first;
      };
    }
    return left;
  }

  #not(): Expression {
    if (!this.#take("not")) return this.#comparison();
    const value = this.#not();
    return (names) => !isTrue(value(names));
  }

  #comparison(): Expression {
    const first = this.#binary(0);
    const rest: { readonly operator: string; readonly value: Expression }[] = [];
    while (this.#next.kind !== "text" && COMPARISONS.has(this.#next.text)) {
      let operator = this.#next.text;
      this.#at += 1;
      if (operator === "not") this.#expect("in");
      if (operator === "not" || (operator === "is" && this.#take("not"))) operator = operator === "not" ? "not in" : "is not";
      rest.push({ operator, value: this.#binary(0) });
    }
    if (rest.length === 0) return first;
    return (names) => {
      let left = first(names);
      for (const { operator, value } of rest) {
        const right = value(names);
        if (!compared(operator, left, right)) return false;
        left = right;
      }
      return true;
    };
  }

  #binary(level: number): Expression {
    const operators = LEVELS[level];
    if (operators === undefined) return this.#unary();
    let left = this.#binary(level + 1);
    while (this.#next.kind === "operator" && operators.includes(this.#next.text)) {
      const operator = this.#next.text;
      this.#at += 1;
      const [a, b] = [left, this.#binary(level + 1)];
      left = (names) => calculated(operator, a(names), b(names));
    }
    return left;
  }

  #unary(): Expression {
    if (this.#take("-")) {
      const value = this.#unary();
      return (names) => calculated("-", 0, value(names));
    }
    const base = this.#postfix();
    if (!this.#take("**")) return base;
    const power = this.#unary();
    return (names) => calculated("**", base(names), power(names));
  }

  #postfix(): Expression {
    let value = this.#atom();
    while (true) {
      const of = value;
      if (this.#take("[")) {
        const key = this.#tuple("]");
        this.#expect("]");
        value = (names) => item(of(names), key(names));
      } else if (this.#take(".")) {
        const name = this.#next.text;
        this.#at += 1;
        value = (names) => attribute(of(names), name);
      } else if (this.#take("(")) {
        const given = this.#list(")");
        value = (names) => (of(names) as (...given: readonly unknown[]) => unknown)(...given(names));
      } else return value;
    }
  }

  #atom(): Expression {
    const { kind, text } = this.#next;
    this.#at += 1;
    if (kind === "number") return () => Number(text);
    if (kind === "text") return () => text;
    if (kind === "name") return named(text);
    if (text === "[") return this.#listOrComprehension();
    if (text === "{") return this.#dict();
    if (text !== "(") throw new UnknownCase(`can't read an expression that begins with ${JSON.stringify(text)}`);
    if (this.#take(")")) return () => [];
    const inner = this.#tuple(")");
    this.#expect(")");
    return inner;
  }

  #list(end: string): (names: Fields) => readonly unknown[] {
    const all: Expression[] = [];
    while (!this.#take(end)) {
      all.push(this.#choice());
      if (!this.#take(",")) {
        this.#expect(end);
        break;
      }
    }
    return (names) => all.map((each) => each(names));
  }

  #listOrComprehension(): Expression {
    const begin = this.#at;
    if (this.#take("]")) return () => [];
    const each = this.#choice();
    if (!this.#take("for")) {
      this.#at = begin;
      return this.#list("]");
    }
    const name = this.#next.text;
    this.#at += 1;
    this.#expect("in");
    const over = this.#or();
    const condition = this.#take("if") ? this.#or() : () => true;
    this.#expect("]");
    return (names) =>
      (over(names) as readonly unknown[])
        .map((value) => ({ ...names, [name]: value }))
        .filter((inner) => isTrue(condition(inner)))
        .map((inner) => each(inner));
  }

  #dict(): Expression {
    const parts: ((names: Fields) => Fields)[] = [];
    while (!this.#take("}")) {
      if (this.#take("**")) {
        const other = this.#choice();
        parts.push((names) => other(names) as Fields);
      } else {
        const key = this.#choice();
        this.#expect(":");
        const value = this.#choice();
        parts.push((names) => ({ [String(key(names))]: value(names) }));
      }
      if (!this.#take(",")) {
        this.#expect("}");
        break;
      }
    }
    return (names) => Object.assign({}, ...parts.map((part) => part(names))) as Fields;
  }
}

function named(name: string): Expression {
  if (name === "True" || name === "False") return () => name === "True";
  if (name === "None") return () => null;
  return (names) => (Object.hasOwn(names, name) ? names[name] : builtin(name));
}
