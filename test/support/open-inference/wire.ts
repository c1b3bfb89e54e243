/**
 * Tensors as bytes, element by element: apart from the code under test, so that both can't be wrong in the same way.
 */
import type { Datatype, Tensor, TensorData } from "../../../src/models/tensors/tensor.ts";

type Numeric = Exclude<Datatype, "BYTES">;

interface Element {
  readonly size: number;
  readonly read: (bytes: Buffer, at: number) => number | bigint;
  readonly write: (bytes: Buffer, element: number & bigint, at: number) => number;
  readonly make: (elements: readonly (number | bigint)[]) => TensorData;
}

const ELEMENTS: { readonly [D in Numeric]: Element } = {
  BOOL: {
    size: 1,
    read: (b, at) => b.readUInt8(at),
    write: (b, e, at) => b.writeUInt8(Number(e), at),
    make: (all) => Uint8Array.from(all as number[]),
  },
  INT8: {
    size: 1,
    read: (b, at) => b.readInt8(at),
    write: (b, e, at) => b.writeInt8(e, at),
    make: (all) => Int8Array.from(all as number[]),
  },
  INT16: {
    size: 2,
    read: (b, at) => b.readInt16LE(at),
    write: (b, e, at) => b.writeInt16LE(e, at),
    make: (all) => Int16Array.from(all as number[]),
  },
  INT32: {
    size: 4,
    read: (b, at) => b.readInt32LE(at),
    write: (b, e, at) => b.writeInt32LE(e, at),
    make: (all) => Int32Array.from(all as number[]),
  },
  INT64: {
    size: 8,
    read: (b, at) => b.readBigInt64LE(at),
    write: (b, e, at) => b.writeBigInt64LE(e, at),
    make: (all) => BigInt64Array.from(all.map(BigInt)),
  },
  UINT8: {
    size: 1,
    read: (b, at) => b.readUInt8(at),
    write: (b, e, at) => b.writeUInt8(e, at),
    make: (all) => Uint8Array.from(all as number[]),
  },
  UINT16: {
    size: 2,
    read: (b, at) => b.readUInt16LE(at),
    write: (b, e, at) => b.writeUInt16LE(e, at),
    make: (all) => Uint16Array.from(all as number[]),
  },
  UINT32: {
    size: 4,
    read: (b, at) => b.readUInt32LE(at),
    write: (b, e, at) => b.writeUInt32LE(e, at),
    make: (all) => Uint32Array.from(all as number[]),
  },
  UINT64: {
    size: 8,
    read: (b, at) => b.readBigUInt64LE(at),
    write: (b, e, at) => b.writeBigUInt64LE(e, at),
    make: (all) => BigUint64Array.from(all.map(BigInt)),
  },
  FP32: {
    size: 4,
    read: (b, at) => b.readFloatLE(at),
    write: (b, e, at) => b.writeFloatLE(e, at),
    make: (all) => Float32Array.from(all as number[]),
  },
  FP64: {
    size: 8,
    read: (b, at) => b.readDoubleLE(at),
    write: (b, e, at) => b.writeDoubleLE(e, at),
    make: (all) => Float64Array.from(all as number[]),
  },
};

/** The data of a tensor from its elements. */
export function dataOf(datatype: Datatype, elements: readonly unknown[]): TensorData {
  return datatype === "BYTES" ? (elements as string[]) : ELEMENTS[datatype].make(elements.map(numberOf));
}

function numberOf(element: unknown): number | bigint {
  return typeof element === "bigint" ? element : typeof element === "string" ? BigInt(element) : Number(element);
}

/** The elements of a tensor as JSON has them. */
export function elementsOf({ datatype, data }: Tensor): unknown[] {
  const all = Array.from(data as ArrayLike<unknown>);
  if (datatype === "BOOL") return all.map(Boolean);
  if (datatype === "BYTES") return all.map((element) => Buffer.from(element as string).toString());
  return all;
}

export function toBytes({ datatype, data }: Tensor): Buffer {
  if (datatype === "BYTES") {
    return Buffer.concat(
      Array.from(data as ArrayLike<string>, (element) => {
        const bytes = Buffer.from(element);
        const length = Buffer.alloc(4);
        length.writeUInt32LE(bytes.length);
        return Buffer.concat([length, bytes]);
      }),
    );
  }
  const { size, write } = ELEMENTS[datatype];
  const bytes = Buffer.alloc(data.length * size);
  Array.from(data as unknown as ArrayLike<number & bigint>).forEach((element, index) => write(bytes, element, index * size));
  return bytes;
}

export function fromBytes(datatype: Datatype, bytes: Buffer): TensorData {
  if (datatype === "BYTES") {
    const texts: string[] = [];
    for (let at = 0; at < bytes.length;) {
      const length = bytes.readUInt32LE(at);
      texts.push(bytes.toString("utf8", at + 4, at + 4 + length));
      at += 4 + length;
    }
    return texts;
  }
  const { size, read, make } = ELEMENTS[datatype];
  return make(Array.from({ length: bytes.length / size }, (_, index) => read(bytes, index * size)));
}
