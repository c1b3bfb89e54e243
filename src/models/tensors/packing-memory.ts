import type { AllocateData } from "./writer.ts";

/** What is kept for the next call at most, over all inputs; more is given back. */
const KEPT_BYTES = 8 * 1024 * 1024;

/** Memory for the tensors of one call after the other: new memory costs as much as writing to it. */
export class PackingMemory {
  /** In the order in which a call asks for them. */
  readonly #kept: ArrayBuffer[] = [];
  #borrowed = false;

  /** For one call. @returns undefined while another has it */
  borrow(): BorrowedMemory | undefined {
    if (this.#borrowed) return undefined;
    this.#borrowed = true;
    let next = 0;
    return {
      allocate: (elements, length) => this.#allocate(next++, elements, length),
      [Symbol.dispose]: () => void (this.#borrowed = false),
    };
  }

  #allocate(at: number, { array: TypedArray }: Parameters<AllocateData>[0], length: number): ReturnType<AllocateData> {
    const kept = this.#kept[at];
    if (kept !== undefined && kept.byteLength >= length * TypedArray.BYTES_PER_ELEMENT) return new TypedArray(kept, 0, length);
    const data = new TypedArray(length);
    const others = this.#kept.reduce((sum, buffer, index) => (index === at ? sum : sum + buffer.byteLength), 0);
    if (at <= this.#kept.length && others + data.byteLength <= KEPT_BYTES) this.#kept[at] = data.buffer as ArrayBuffer;
    return data;
  }
}

/** Memory of one call, until it is disposed of: then nothing may use the tensors any more. */
export interface BorrowedMemory extends Disposable {
  readonly allocate: AllocateData;
}
