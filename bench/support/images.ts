/** Pictures of digits, 28 × 28, as records. */
import { readFileSync } from "node:fs";

import { createProducer } from "../../src/kafka/create-producer.ts";
import { type OutgoingRecord, outgoingRecord } from "../../src/kafka/outgoing-record.ts";
import { benchContext } from "../measure.ts";

/** `json`: an object with 784 numbers of two decimals; `u8`: a byte for each pixel. */
export type ImageFormat = "json" | "u8";

export interface Image {
  readonly digit: number;
  /** From 0 (white) to 255, row by row. */
  readonly pixels: Uint8Array;
}

const SIDE = 28;
const SMALL_SIDE = 8;
/** What a pixel of the small pictures can be at most. */
const BLACK = 16;
const NOISE = 0.03;
const SEND = 2000;

/** So many pictures: those of the product `digits`, blown up, each with noise of its own. */
export function images(count: number): Image[] {
  const file = new URL("../../products/digits/data/held-out.ndjson", import.meta.url);
  const small = readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as { readonly pixels: readonly number[]; readonly digit: number });
  const noise = normal(1);
  return Array.from({ length: count }, (_, number) => {
    const { pixels, digit } = small[number % small.length] as (typeof small)[number];
    return { digit, pixels: blownUp(pixels, noise) };
  });
}

/** Bilinear. */
function blownUp(small: readonly number[], noise: () => number): Uint8Array {
  const pixels = new Uint8Array(SIDE * SIDE);
  const step = (SMALL_SIDE - 1) / (SIDE - 1);
  const at = (row: number, column: number) => small[Math.min(row, SMALL_SIDE - 1) * SMALL_SIDE + Math.min(column, SMALL_SIDE - 1)] ?? 0;
  for (let row = 0; row < SIDE; row++) {
    for (let column = 0; column < SIDE; column++) {
      const [top, left] = [Math.floor(row * step), Math.floor(column * step)];
      const [down, right] = [row * step - top, column * step - left];
      const above = at(top, left) * (1 - right) + at(top, left + 1) * right;
      const below = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right;
      const grey = (above * (1 - down) + below * down) / BLACK + noise() * NOISE;
      pixels[row * SIDE + column] = Math.round(Math.min(1, Math.max(0, grey)) * 255);
    }
  }
  return pixels;
}

/** Normally distributed numbers (Box and Muller), the same for the same seed. */
function normal(seed: number): () => number {
  let state = seed;
  const uniform = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return (state + 1) / 2 ** 32;
  };
  return () => Math.sqrt(-2 * Math.log(uniform())) * Math.cos(2 * Math.PI * uniform());
}

/** The value of a picture's record. */
export function valueOf(id: number, { pixels }: Image, format: ImageFormat): Uint8Array {
  if (format === "u8") return pixels;
  const numbers = Array.from(pixels, (pixel) => Math.round((pixel / 255) * 100) / 100);
  return Buffer.from(JSON.stringify({ id, pixels: numbers }));
}

/** Writes so many records, whose keys are their numbers. @returns bytes per value */
export async function fillWithImages(
  brokers: string,
  topic: string,
  count: number,
  format: ImageFormat,
  pool: readonly Image[],
): Promise<number> {
  const context = benchContext();
  const connection = { ...context.connections.kafka, brokers: brokers.split(",") };
  const producer = await createProducer(connection, { compression: "none", maxMessageBytes: 1_000_000 }, "bench", context.logger);
  await using _closed = producer;
  const writer = await producer.topic(topic, { create: undefined, signal: context.signal, waiting: () => undefined });
  let records: OutgoingRecord[] = [];
  let bytes = 0;
  for (let id = 0; id < count; id++) {
    const value = valueOf(id, pool[id % pool.length] as Image, format);
    bytes += value.length;
    records.push(outgoingRecord(String(id), value, Date.now(), undefined));
    if (records.length < SEND && id + 1 < count) continue;
    await writer.send(records, context.signal);
    records = [];
  }
  return bytes / count;
}
