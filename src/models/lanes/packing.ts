/**
 * Bytes on their way to and from a thread. A view is cloned together with all of the buffer that it looks at, and what is transferred
 * is lost to whoever gave it. So all views of a message are copied once into one buffer, and that is transferred.
 */

type View = ArrayBufferView;

/** A message whose views all look at one buffer of its own. */
export interface Packed {
  readonly message: unknown[];
  /** What is to be transferred with it. */
  readonly transfer: readonly ArrayBuffer[];
  /** Those of the views that were Buffers, which arrive as Uint8Arrays: `asBuffers` makes them Buffers again. */
  readonly buffers: readonly Uint8Array[] | undefined;
}

/** How deep views are looked for in objects and arrays; deeper ones are cloned with all of their buffers. */
const DEPTH = 8;

/** Wide enough for an element of any type. */
const ALIGNMENT = 8;

/** Looks for views in the parts of a message, and packs them. The message and what is in it stay as they are. */
export function pack(message: unknown[]): Packed {
  const found: View[] = [];
  collect(message, found, DEPTH);
  if (found.length === 0) return { message, transfer: [], buffers: undefined };
  const { buffer, offsets } = copied(found);
  const packed = found.map((view, index) => sameOver(view, buffer, offsets[index] as number));
  const buffers = packed.filter((view) => Buffer.isBuffer(view));
  return {
    message: replaced(message, packed[Symbol.iterator](), DEPTH) as unknown[],
    transfer: [buffer],
    buffers: buffers.length === 0 ? undefined : buffers,
  };
}

/** Makes views Buffers again, which a structured clone does not keep. They are parts of the message, so these are changed in place. */
export function asBuffers(views: readonly Uint8Array[] | undefined): void {
  if (views !== undefined) for (const view of views) Object.setPrototypeOf(view, Buffer.prototype);
}

function collect(value: unknown, found: View[], depth: number): void {
  if (typeof value !== "object" || value === null) return;
  if (ArrayBuffer.isView(value)) {
    if (value.buffer instanceof ArrayBuffer) found.push(value);
  } else if (depth === 0) return;
  else if (Array.isArray(value)) for (const part of value as unknown[]) collect(part, found, depth - 1);
  else if (isPlainObject(value)) for (const name in value) collect(value[name], found, depth - 1);
}

/** The same with its views replaced, in the order in which they were found. What has none is not copied. */
function replaced(value: unknown, views: Iterator<View>, depth: number): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (ArrayBuffer.isView(value)) return value.buffer instanceof ArrayBuffer ? views.next().value : value;
  if (depth === 0) return value;
  if (Array.isArray(value)) return (value as unknown[]).map((part) => replaced(part, views, depth - 1));
  if (!isPlainObject(value)) return value;
  const copy: Record<string, unknown> = {};
  for (const name in value) {
    const part = replaced(value[name], views, depth - 1);
    // An own `__proto__` must stay a field.
    if (name === "__proto__") Object.defineProperty(copy, name, { value: part, enumerable: true, configurable: true, writable: true });
    else copy[name] = part;
  }
  return copy;
}

/** Views that follow each other in one buffer, as the rows of a tensor do, are one run, and copied at once. */
interface Run {
  readonly source: ArrayBufferLike;
  readonly start: number;
  end: number;
  /** Where it goes. */
  readonly at: number;
}

function copied(views: readonly View[]): { readonly buffer: ArrayBuffer; readonly offsets: readonly number[] } {
  const runs: Run[] = [];
  const offsets: number[] = [];
  let end = 0;
  let run: Run | undefined;
  for (const { buffer: source, byteOffset: start, byteLength } of views) {
    if (run === undefined || source !== run.source || start !== run.end) {
      // As far from the next multiple as it was, so that every view in the run is as well aligned as before.
      const at: number = Math.ceil(end / ALIGNMENT) * ALIGNMENT + (start % ALIGNMENT);
      run = { source, start, end: start, at };
      runs.push(run);
    }
    offsets.push(run.at + (start - run.start));
    run.end = start + byteLength;
    end = run.at + (run.end - run.start);
  }
  const buffer = new ArrayBuffer(end);
  const bytes = new Uint8Array(buffer);
  for (const { source, start, end: stop, at } of runs) bytes.set(new Uint8Array(source, start, stop - start), at);
  return { buffer, offsets };
}

function sameOver(view: View, buffer: ArrayBuffer, offset: number): View {
  if (Buffer.isBuffer(view)) return Buffer.from(buffer, offset, view.byteLength);
  if (view instanceof DataView) return new DataView(buffer, offset, view.byteLength);
  const type = view.constructor as new (buffer: ArrayBuffer, offset: number, length: number) => Uint8Array;
  return new type(buffer, offset, (view as Uint8Array).length);
}

function isPlainObject(value: object): value is Record<string, unknown> {
  const proto: unknown = Object.getPrototypeOf(value);
  return proto === Object.prototype || proto === null;
}
