import type { Elements } from "./datatypes.ts";
import { elementsOf } from "./datatypes.ts";
import { isTyped } from "./describe.ts";
import type { TensorType, TypedData } from "./tensor.ts";
import type { AllocateData } from "./writer.ts";
import { newData } from "./writer.ts";

/** What is copied before it is looked at: small enough for the processor's nearest memory. */
const LOOKED_AT_BYTES = 4096;

/**
 * The elements of rows that all are typed arrays just as the input wants them.
 * @param size elements of a row
 * @param allocate gives memory to copy them into; default: a view of them where they lie beside each other in a buffer, else a copy
 * @returns undefined where there is another row, or an element that the input does not take
 */
export function dataOfTypedRows(
  rows: readonly unknown[],
  type: TensorType,
  size: number,
  allocate: AllocateData | undefined,
): TypedData | undefined {
  const elements = elementsOf(type.datatype);
  const first = rows[0];
  if (elements === undefined || elements.kind === "boolean" || !isTyped(first) || !(first instanceof elements.array)) return undefined;
  for (let index = 0; index < rows.length; index++) {
    const row = rows[index] as TypedData | null | undefined;
    if (row?.constructor !== first.constructor || row.length !== size) return undefined;
  }
  const passes = elements.kind === "float" && type.values !== "any" ? allFinite : undefined;
  const inPieces = passes !== undefined && allocate !== undefined;
  const runs = runsOf(rows as readonly TypedData[], elements, size, inPieces ? rowsOfPiece(elements, size) : rows.length);
  if (inPieces) return copyOf(runs, elements, rows.length * size, allocate, passes);
  if (passes !== undefined && !runs.every((run) => passes(run as Float32Array, 0, run.length))) return undefined;
  const [only] = runs;
  return only !== undefined && runs.length === 1 ? only : copyOf(runs, elements, rows.length * size, allocate ?? newData);
}

function rowsOfPiece({ array }: Elements, size: number): number {
  return Math.max(1, Math.floor(LOOKED_AT_BYTES / (size * array.BYTES_PER_ELEMENT)));
}

/**
 * Rows were written a while ago: they are far from the processor by now, and its memory reads a copy's long stretches several times as fast as
 * one element after the other. So each run is copied first, and looked at where it is then.
 * @returns undefined where an element does not pass
 */
function copyOf(
  runs: readonly TypedData[],
  elements: Elements,
  length: number,
  allocate: AllocateData,
  passes?: typeof allFinite,
): TypedData | undefined {
  const data = allocate(elements, length) as Float32Array;
  let at = 0;
  for (const run of runs) {
    data.set(run as Float32Array, at);
    const end = at + run.length;
    if (passes !== undefined && !passes(data, at, end)) return undefined;
    at = end;
  }
  return data;
}

/** One view for all neighbouring rows that lie beside each other, but for no more than `most`. */
function runsOf(rows: readonly TypedData[], { array: TypedArray }: Elements, size: number, most: number): readonly TypedData[] {
  if (most === 1) return rows;
  const stride = size * TypedArray.BYTES_PER_ELEMENT;
  const runs: TypedData[] = [];
  for (let index = 0; index < rows.length;) {
    const begin = index;
    const { buffer, byteOffset } = rows[begin] as TypedData;
    for (index++; index < rows.length && index - begin < most; index++) {
      const row = rows[index] as TypedData;
      if (row.byteOffset !== byteOffset + (index - begin) * stride || row.buffer !== buffer) break;
    }
    runs.push(new TypedArray(buffer, byteOffset, (index - begin) * size));
  }
  return runs;
}

/** A number less itself is zero, but for NaN and infinity. Four sums, since each addition waits for the one before it. */
function allFinite(data: Float32Array, begin: number, end: number): boolean {
  const even = end - ((end - begin) % 4);
  // Arrays taken apart here would be made for each four elements until the last of V8's compilers has come by.
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (let index = begin; index < even; index += 4) {
    const first = data[index] as number;
    const second = data[index + 1] as number;
    const third = data[index + 2] as number;
    const fourth = data[index + 3] as number;
    a += first - first;
    b += second - second;
    c += third - third;
    d += fourth - fourth;
  }
  for (let index = even; index < end; index++) a += (data[index] as number) - (data[index] as number);
  return a + b + c + d === 0;
}
