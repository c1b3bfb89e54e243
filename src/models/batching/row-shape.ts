/** A typed array; bytes are one too. */
type TypedArray = Uint8Array | Float32Array;
type Fields = Readonly<Record<string, unknown>>;

/** Rows that hold no tensor and are not all numbers or all text: a model over them takes each as it is. */
const PLAIN = "plain";

/**
 * What rows must have in common to go to a model in one call: for tensors (typed arrays, arrays of numbers, objects that
 * have such for fields) names, types and inner shapes; for others their type. Objects without a tensor are all alike.
 * Every row is looked at, not the first alone.
 * @returns undefined when the rows have no common shape: their call goes to the model alone
 */
export function shapeOfRows(rows: readonly unknown[]): string | undefined {
  const first = rows[0];
  const shape = shapeOf(first);
  if (shape === undefined || rows.length === 0) return undefined;
  return isTensor(first) ? allAlike(rows, shape) : withoutTensors(rows, shape);
}

function allAlike(rows: readonly unknown[], shape: string): string | undefined {
  const first = rows[0];
  for (let index = 1; index < rows.length; index++) if (!alike(first, rows[index])) return undefined;
  return shape;
}

function withoutTensors(rows: readonly unknown[], shape: string): string | undefined {
  let common = shape;
  for (const row of rows) {
    if (isTensor(row)) return undefined;
    if (common !== PLAIN && typeof row !== common) common = PLAIN;
  }
  return common;
}

/** Undefined for what has no shape: an array with rows of several lengths. */
function shapeOf(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return scalarType(value);
  if (isTypedArray(value)) return `${value.constructor.name}[${value.length}]`;
  if (Array.isArray(value)) return isTensor(value) ? arrayShape(value) : PLAIN;
  if (!isTensor(value)) return PLAIN;
  const fields: string[] = [];
  for (const name of Object.keys(value).toSorted()) {
    const field = (value as Fields)[name];
    // A field that is no tensor itself may be anything of its type, but its name counts.
    const shape = shapeOf(field);
    if (shape === undefined) return undefined;
    fields.push(`${JSON.stringify(name)}:${shape}`);
  }
  return `{${fields.join()}}`;
}

function scalarType(value: unknown): string {
  return isElement(value) || typeof value === "string" ? typeof value : PLAIN;
}

function arrayShape(array: readonly unknown[]): string | undefined {
  const inner = shapeOf(array[0]);
  if (inner === undefined || (Array.isArray(array[0]) && !array.every((item) => alike(array[0], item)))) return undefined;
  return `${inner}[${array.length}]`;
}

/** Whether it is or holds what a model over tensors takes for one. */
function isTensor(value: unknown): boolean {
  if (typeof value !== "object" || value === null) return false;
  if (isTypedArray(value) || isNumbers(value)) return true;
  if (Array.isArray(value)) return false;
  for (const name of Object.keys(value)) {
    const field = (value as Fields)[name];
    if (typeof field === "object" && field !== null && (isTypedArray(field) || isNumbers(field))) return true;
  }
  return false;
}

function isNumbers(value: object): boolean {
  if (!Array.isArray(value)) return false;
  const first: unknown = value[0];
  return isElement(first) || (typeof first === "object" && first !== null && (isTypedArray(first) || isNumbers(first)));
}

function isElement(value: unknown): boolean {
  return typeof value === "number" || typeof value === "boolean" || typeof value === "bigint";
}

function isTypedArray(value: object): value is TypedArray {
  return ArrayBuffer.isView(value) && !(value instanceof DataView);
}

/** Whether two values have the same shape, without making texts of it: most rows have that of the first. */
function alike(a: unknown, b: unknown): boolean {
  if (typeof a !== "object" || a === null || typeof b !== "object" || b === null) return scalarType(a) === shapeOf(b);
  if (isTypedArray(a)) return isTypedArray(b) && a.constructor === b.constructor && a.length === b.length;
  if (isNumbers(a)) return isNumbers(b) && alikeArrays(a as readonly unknown[], b as readonly unknown[]);
  if (!isTensor(a)) return !isTensor(b);
  if (Array.isArray(b) || isTypedArray(b)) return false;
  const names = Object.keys(a);
  if (Object.keys(b).length !== names.length) return false;
  return names.every((name) => Object.hasOwn(b, name) && alike((a as Fields)[name], (b as Fields)[name]));
}

function alikeArrays(a: readonly unknown[], b: readonly unknown[]): boolean {
  if (a.length !== b.length) return false;
  const [first] = a;
  if (typeof first !== "object") return typeof first === typeof b[0];
  return b.every((item) => alike(first, item));
}
