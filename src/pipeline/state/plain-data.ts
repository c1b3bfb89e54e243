/**
 * State as bytes. The format is MessagePack with msgpackr's extensions for what plain data has beyond JSON: undefined, big
 * integers, Dates, Maps, Sets and typed arrays come back as they were, also the shapes of objects apart from Maps.
 */
import { types } from "node:util";

import { Packr } from "msgpackr";

/** `bigint`: numbers never need that form, so what has it was a BigInt. */
const packr = new Packr({
  useRecords: true,
  moreTypes: true,
  useBigIntExtension: true,
  int64AsType: "bigint",
});

/** @throws TypeError naming the place of what is no plain data */
export function packState(state: unknown): Buffer {
  const oddity = oddityIn(state, "");
  if (oddity !== undefined) throw new TypeError(oddity);
  return packr.pack(state);
}

/** Packs what is known to be plain data. */
export function packPlain(state: unknown): Buffer {
  return packr.pack(state);
}

/** The way back. Throws on bytes that are no such thing. */
export function unpackState(bytes: Uint8Array): unknown {
  return packr.unpack(bytes) as unknown;
}

/** State is a tree of a few levels; what is deeper refers to itself, most likely. */
const DEEPEST = 64;

/**
 * What in a state would not come back as it was, as a text for people: a function, a symbol, an object of a class, or one that
 * refers to itself. Undefined when all is plain data.
 */
export function oddityIn(state: unknown, path: string, depth: number = 0): string | undefined {
  const at = path === "" ? "it" : path;
  switch (typeof state) {
    case "function":
    case "symbol":
      return `${at} is a ${typeof state}`;
    case "object":
      break;
    default:
      return undefined;
  }
  if (state === null) return undefined;
  if (depth > DEEPEST) return `${at} is nested more than ${DEEPEST} deep, or refers to itself`;
  if (Array.isArray(state)) return firstOddity(state.entries(), path, depth);
  if (types.isMap(state)) return firstOddity(state, path, depth) ?? firstOddity([...state.keys()].entries(), `${path} key`, depth);
  if (types.isSet(state)) return firstOddity([...state].entries(), path, depth);
  if (ArrayBuffer.isView(state) || types.isDate(state)) return undefined;
  const prototype: unknown = Object.getPrototypeOf(state);
  if (prototype !== null && prototype !== Object.prototype) return `${at} is an object of class ${className(state)}`;
  return firstOddity(Object.entries(state), path, depth);
}

function firstOddity(entries: Iterable<readonly [unknown, unknown]>, path: string, depth: number): string | undefined {
  for (const [name, value] of entries) {
    if (typeof value !== "object" && typeof value !== "function" && typeof value !== "symbol") continue;
    const found = oddityIn(value, `${path}.${String(name)}`, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

function className(object: object): string {
  const { constructor } = object;
  return typeof constructor === "function" && constructor.name !== "" ? constructor.name : "no name";
}
