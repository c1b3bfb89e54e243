import type { Elements } from "./datatypes.ts";
import { elementsOf } from "./datatypes.ts";
import { isTyped } from "./describe.ts";
import type { TensorType, TypedData } from "./tensor.ts";
import type { AllocateData } from "./writer.ts";
import { newData } from "./writer.ts";

/**
 * The elements of rows that all are typed arrays just as the input wants them: a view of them where they lie beside each other in a
 * buffer, else a copy.
 * @param size elements of a row
 * @returns undefined where there is another row, or an element that the input does not take; nothing was allocated then
 */
export function dataOfTypedRows(
  rows: readonly unknown[],
  type: TensorType,
  size: number,
  allocate: AllocateData = newData,
): TypedData | undefined {
  const elements = elementsOf(type.datatype);
  const first = rows[0];
  if (elements === undefined || elements.kind === "boolean" || !isTyped(first) || !(first instanceof elements.array)) return undefined;
  for (let index = 0; index < rows.length; index++) {
    const row = rows[index] as TypedData | null | undefined;
    if (row?.constructor !== first.constructor || row.length !== size) return undefined;
  }
  const runs = runsOf(rows as readonly TypedData[], elements, size);
  if (elements.kind === "float" && type.values !== "any" && !runs.every((run) => allFinite(run as Float32Array))) return undefined;
  const [only] = runs;
  if (only !== undefined && runs.length === 1) return only;
  const data = allocate(elements, rows.length * size);
  let at = 0;
  for (const run of runs) {
    (data as Float32Array).set(run as Float32Array, at);
    at += run.length;
  }
  return data;
}

/** One view for all neighbouring rows that lie beside each other. */
function runsOf(rows: readonly TypedData[], { array: TypedArray }: Elements, size: number): readonly TypedData[] {
  const stride = size * TypedArray.BYTES_PER_ELEMENT;
  const runs: TypedData[] = [];
  for (let index = 0; index < rows.length;) {
    const begin = index;
    const { buffer, byteOffset } = rows[begin] as TypedData;
    for (index++; index < rows.length; index++) {
      const row = rows[index] as TypedData;
      if (row.byteOffset !== byteOffset + (index - begin) * stride || row.buffer !== buffer) break;
    }
    runs.push(new TypedArray(buffer, byteOffset, (index - begin) * size));
  }
  return runs;
}

/** A number less itself is zero, but for NaN and infinity. Four sums, since each addition waits for the one before it. */
function allFinite(data: Float32Array): boolean {
  const even = data.length - (data.length % 4);
  // Arrays taken apart here would be made for each four elements until the last of V8's compilers has come by.
  let a = 0;
  let b = 0;
  let c = 0;
  let d = 0;
  for (let index = 0; index < even; index += 4) {
    const first = data[index] as number;
    const second = data[index + 1] as number;
    const third = data[index + 2] as number;
    const fourth = data[index + 3] as number;
    a += first - first;
    b += second - second;
    c += third - third;
    d += fourth - fourth;
  }
  for (let index = even; index < data.length; index++) a += (data[index] as number) - (data[index] as number);
  return a + b + c + d === 0;
}
