/**
 * The version that an ONNX file gives itself: `model_version` of its ModelProto, which ONNX Runtime does not tell in Node
 * (https://github.com/onnx/onnx/blob/main/onnx/onnx.proto).
 */

const MODEL_VERSION = 5;
const GRAPH = 7;

/** Of protocol buffers: how a field is written. */
const VARINT = 0;
const FIXED64 = 1;
const LENGTH = 2;
const FIXED32 = 5;

/**
 * @param head the file's first bytes: fields come in the order of their numbers, and the large one, the graph, behind the version
 * @returns undefined where the file has none, or is no ONNX model
 */
export function modelVersion(head: Uint8Array): string | undefined {
  let at = 0;
  while (at < head.length) {
    const tag = varint(head, at);
    if (tag === undefined) return undefined;
    const field = Number(tag.value >> 3n);
    const wire = Number(tag.value & 7n);
    if (field === GRAPH) return undefined;
    const next = varint(head, tag.end);
    if (field === MODEL_VERSION) return wire === VARINT && next !== undefined && next.value > 0n ? String(next.value) : undefined;
    if (wire === FIXED64) at = tag.end + 8;
    else if (wire === FIXED32) at = tag.end + 4;
    else if (wire === VARINT && next !== undefined) at = next.end;
    else if (wire === LENGTH && next !== undefined) at = next.end + Number(next.value);
    else return undefined;
  }
  return undefined;
}

interface Varint {
  readonly value: bigint;
  /** Where the next byte is. */
  readonly end: number;
}

/** The most bytes that 64 bits take, seven in each. */
const LONGEST = 10;

function varint(bytes: Uint8Array, start: number): Varint | undefined {
  let value = 0n;
  for (let index = 0; index < LONGEST; index++) {
    const byte = bytes[start + index];
    if (byte === undefined) return undefined;
    value |= BigInt(byte & 0x7f) << BigInt(7 * index);
    if (byte < 0x80) return { value: BigInt.asIntN(64, value), end: start + index + 1 };
  }
  return undefined;
}
