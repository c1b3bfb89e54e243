import type { FileHandle } from "node:fs/promises";
import { open } from "node:fs/promises";
import { extname, resolve } from "node:path";

import { z } from "zod";

import type { Batch, Event, Origin, Position } from "../batch.ts";
import { END_OF_INPUT, NO_WATERMARK } from "../batch.ts";
import type { Clock } from "../clock.ts";
import { sleep } from "../clock.ts";
import type { Failures, SourceSpec } from "../contracts.ts";
import { DataError, MillraceError, messageOf, NotReadyError } from "../errors.ts";
import { decode } from "../values.ts";
import type { FileRecords } from "./file-lines.ts";
import { LineTooLongError, readLines } from "./file-lines.ts";
import { readRows, RowError } from "./file-rows.ts";
import { Pacer } from "./pace.ts";
import { refused } from "./refused.ts";
import { singlePartition } from "./single-partition.ts";

const formats = ["ndjson", "json", "csv", "text"] as const;

/** What a task can set on a file source. */
export const fileSourceConfig = z.strictObject({
  path: z.string().min(1).describe("the file; a relative path counts from the settings file"),
  format: z
    .enum(formats)
    .optional()
    .describe(
      "ndjson: lines as bytes; json: the same, decoded; text: lines as text; csv: rows as objects; default by the file's extension",
    ),
  pace: z
    .strictObject({
      by: z.string().min(1).describe("the field that has each record's time"),
      factor: z.number().positive().default(1).describe("times as fast as it happened"),
    })
    .optional()
    .describe("replays at the speed at which the records happened; default as fast as possible"),
  maxLineBytes: z
    .int()
    .min(1)
    .default(16 * 1_048_576)
    .describe("a longer line is an error"),
});

/** Settings of `fileSource`. */
export type FileSourceSettings = z.input<typeof fileSourceConfig>;
type FileFormat = (typeof formats)[number];

/**
 * The lines of a file, once, as a finite input. An event's offset is its line, counted from 0. There is no event time but
 * what a `timeBy` sets. A restart of the task reads the file from the beginning,
 * or from its checkpoint where the pipeline keeps state.
 *
 * A missing file is waited for; one that can't be read is an error.
 * @throws {z.ZodError} when the settings are wrong
 */
export function fileSource(settings: FileSourceSettings): SourceSpec {
  const config = fileSourceConfig.parse(settings);
  const format = config.format ?? formatOf(config.path);
  return {
    kind: "file",
    description: { path: config.path, format },
    finite: true,
    timestamps: false,
    partitioned: false,
    format: format === "json" || format === "text" ? format : undefined,
    open: async (context) => {
      const path = resolve(context.directory ?? ".", config.path);
      const { edition } = await editionOf(path, config.path);
      const reader = new FileReader({ ...config, path, name: config.path, format }, context.clock);
      return singlePartition(config.path, context.task.instance, (from, stop, failures) => reader.read(from ?? 0, stop, failures), edition);
    },
  };
}

/** The format of a file by its name: `.csv`, `.ndjson` or `.jsonl` or `.json`, and text for all others. */
export function formatOf(path: string): FileFormat {
  const extension = extname(path).toLowerCase();
  if (extension === ".csv") return "csv";
  return [".ndjson", ".jsonl", ".json"].includes(extension) ? "ndjson" : "text";
}

async function openFile(path: string): Promise<FileHandle> {
  try {
    const file = await open(path, "r");
    if (!(await file.stat()).isDirectory()) return file;
    await file.close();
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    if (code === "ENOENT") throw new NotReadyError(`the file ${path} does not exist`, { cause: error });
    if (code === "EACCES" || code === "EPERM") {
      throw new MillraceError(`no permission to read the file ${path}: allow it to the user that Millrace runs as`, { cause: error });
    }
    throw new MillraceError(`the file ${path} can't be opened: ${messageOf(error)}`, { cause: error });
  }
  throw new MillraceError(`${path} is a directory; give the path of one file`);
}

async function editionOf(path: string, name: string): Promise<Origin> {
  await using file = await openFile(path);
  return await originOf(name, file);
}

/** Lines of a file that was changed or replaced are not those of before, although they have their numbers. */
async function originOf(name: string, file: FileHandle): Promise<Origin> {
  const { size, mtimeNs, ino } = await file.stat({ bigint: true });
  return { system: "file", name, partition: undefined, edition: `${size}-${mtimeNs}-${ino}` };
}

interface ReaderOptions {
  readonly path: string;
  /** The path as the task gives it. */
  readonly name: string;
  readonly format: FileFormat;
  readonly pace?: { readonly by: string; readonly factor: number } | undefined;
  readonly maxLineBytes: number;
}

interface Pacing {
  readonly pacer: Pacer;
  readonly stop: AbortSignal;
  readonly failures: Failures | undefined;
}

const MOST_EVENTS = 1024;
const MOST_BYTES = 1_048_576;
/** How long an idle source waits at most before it yields an empty batch, in milliseconds. */
const IDLE = 1000;

class FileReader {
  readonly #options: ReaderOptions;
  readonly #clock: Clock;
  #origin: Origin;

  constructor(options: ReaderOptions, clock: Clock) {
    this.#options = options;
    this.#clock = clock;
    this.#origin = { system: "file", name: options.name, partition: undefined };
  }

  async *read(from: Position, stop: AbortSignal, failures: Failures | undefined): AsyncGenerator<Batch> {
    const { path, name, format, maxLineBytes, pace } = this.#options;
    await using file = await openFile(path);
    this.#origin = await originOf(name, file);
    const pacer = pace === undefined ? undefined : new Pacer(pace, this.#clock);
    let position = from;
    try {
      const chunks = format === "csv" ? readRows(file, from, maxLineBytes) : readLines(file, from, maxLineBytes);
      for await (const records of chunks) {
        position = Math.max(position, records.next);
        const batches = pacer === undefined ? this.#batches(records, failures) : this.#paced(records, { pacer, stop, failures });
        for await (const batch of batches) {
          if (stop.aborted) return;
          yield batch;
        }
        if (stop.aborted) return;
      }
    } catch (error) {
      if (stop.aborted && error === stop.reason) return;
      throw this.#dataError(error);
    }
    yield { events: [], position, watermark: END_OF_INPUT };
  }

  *#batches(records: FileRecords, failures: Failures | undefined): Generator<Batch> {
    let events: Event[] = [];
    let bytes = 0;
    for (let index = 0; index < records.values.length; index++) {
      const event = this.#event(records, index);
      try {
        event.value = this.#decoded(event.value);
      } catch (error) {
        const end = refused(event, error, failures);
        if (end === undefined) continue;
        yield { events, position: event.offset, watermark: NO_WATERMARK };
        throw end.thrown;
      }
      events.push(event);
      bytes += records.sizes[index] as number;
      if (events.length < MOST_EVENTS && bytes < MOST_BYTES) continue;
      yield { events, position: (records.lines[index] as number) + 1, watermark: NO_WATERMARK };
      events = [];
      bytes = 0;
    }
    // Also where all were left out: they are done.
    if (records.values.length > 0) yield { events, position: records.next, watermark: NO_WATERMARK };
  }

  /** Yields what is due, and an empty batch at least every second while nothing is. */
  async *#paced(records: FileRecords, { pacer, stop, failures }: Pacing): AsyncGenerator<Batch> {
    let events: Event[] = [];
    for (let index = 0; index < records.values.length; index++) {
      const event = this.#event(records, index);
      let due: () => number;
      try {
        due = this.#due(event, pacer);
      } catch (error) {
        const end = refused(event, error, failures);
        if (end === undefined) continue;
        yield { events, position: event.offset, watermark: NO_WATERMARK };
        throw end.thrown;
      }
      for (let wait = due(); wait > 0; wait = due()) {
        yield { events, position: event.offset, watermark: NO_WATERMARK };
        events = [];
        await sleep(Math.min(wait, IDLE), stop, this.#clock);
      }
      events.push(event);
      if (events.length < MOST_EVENTS) continue;
      yield { events, position: event.offset + 1, watermark: NO_WATERMARK };
      events = [];
    }
    if (records.values.length > 0) yield { events, position: records.next, watermark: NO_WATERMARK };
  }

  /** Decodes an event, and tells how to ask for the milliseconds until it is due. */
  #due(event: Event, pacer: Pacer): () => number {
    event.value = this.#decoded(event.value);
    const value = this.#options.format === "csv" ? event.value : decode.json(event.value);
    pacer.wait(value);
    return () => pacer.wait(value);
  }

  #decoded(value: unknown): unknown {
    const { format } = this.#options;
    return format === "text" || format === "json" ? decode[format](value) : value;
  }

  /** A record's event; its value is not decoded yet, but for a row. */
  #event(records: FileRecords, index: number): Event {
    const value = records.values[index];
    return {
      value,
      key: undefined,
      time: Number.NaN,
      headers: undefined,
      origin: this.#origin,
      offset: records.lines[index] as number,
      watermark: NO_WATERMARK,
      size: records.sizes[index] as number,
      raw: value instanceof Uint8Array ? value : undefined,
      rawKey: undefined,
    };
  }

  #dataError(error: unknown): unknown {
    if (!(error instanceof LineTooLongError || error instanceof RowError)) return error;
    return new DataError("source", { origin: this.#origin, offset: error.line }, error);
  }
}
