import type { FileHandle } from "node:fs/promises";
import { resolve } from "node:path";

import { z } from "zod";

import type { Event } from "../batch.ts";
import type { OpenContext, Sink, SinkSpec } from "../contracts.ts";
import { fieldsOfRow } from "../csv.ts";
import { InfrastructureError, messageOf, MillraceError } from "../errors.ts";
import { decode } from "../values.ts";
import { CHUNK, openForAppending } from "./appended-file.ts";
import type { LineWriter } from "./file-format.ts";
import { csvWriter, lineWriter } from "./file-format.ts";
import { FileLetterBox } from "./letters/file-box.ts";
import { Outage } from "./outage.ts";
import { Queue } from "./queue.ts";
import { StdoutSink } from "./stdout.ts";

const formats = ["ndjson", "csv", "text"] as const;

/** What a task can set on a file sink. */
export const fileSinkConfig = z.strictObject({
  path: z.string().min(1).describe("the file, made if it is missing, with its folder; - is standard output"),
  format: z.enum(formats).optional().describe("default by the file's extension: .csv, .txt, else ndjson"),
  columns: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe("for csv: the fields to write, as value.total, in order; default those of the file, or of the first values"),
  sync: z
    .enum(["end", "always"])
    .default("end")
    .describe("when what was written is forced to the disk: at the end, or before each confirmation"),
});

/** Settings of `fileSink`. */
export type FileSinkSettings = z.input<typeof fileSinkConfig>;
type Settings = z.output<typeof fileSinkConfig>;
type FileFormat = (typeof formats)[number];

const STEP = "sink file";

/**
 * Appends to a file, a line (or CSV row) for each event. What is confirmed has been handed to the operating system: it
 * outlives a crash of Millrace, and with `sync: always` one of the machine. A last line that a crash left incomplete is cut
 * off when the file is opened. Several instances can write to one file: each batch is appended in one piece.
 * @throws {z.ZodError} when the settings are wrong
 */
export function fileSink(settings: FileSinkSettings): SinkSpec {
  const config = fileSinkConfig.parse(settings);
  const format = config.format ?? formatOf(config.path);
  return {
    kind: "file",
    description: { path: config.path, format },
    openLetters: async (context) => {
      if (config.path === "-") throw new MillraceError("dead letters can't be kept on standard output: give the path of a file");
      return await FileLetterBox.open(resolve(context.directory ?? ".", config.path), context);
    },
    open: async (context) => {
      if (config.path === "-") return new StdoutSink(writerFor(format, config, undefined));
      const path = resolve(context.directory ?? ".", config.path);
      const file = await openForAppending(path, context);
      try {
        return new FileSink(file, path, writerFor(format, config, await headerOf(file, path, format, config)), config, context);
      } catch (error) {
        await file.close();
        throw error;
      }
    },
  };
}

function writerFor(format: FileFormat, { columns }: Settings, existing: readonly string[] | undefined): LineWriter {
  return format === "csv" ? csvWriter({ chosen: columns, existing }, STEP) : lineWriter(format, STEP);
}

/** @throws {MillraceError} when a CSV file has other columns than those to write */
async function headerOf(file: FileHandle, path: string, format: FileFormat, { columns }: Settings): Promise<readonly string[] | undefined> {
  if (format !== "csv") return undefined;
  const start = Buffer.alloc(CHUNK);
  const { bytesRead } = await file.read(start, 0, CHUNK, 0);
  const end = start.subarray(0, bytesRead).indexOf(10);
  if (end === -1) return undefined;
  const header = fieldsOfRow(decode.text(start.subarray(0, end)));
  if (columns === undefined || columns.join() === header.join()) return header;
  throw new MillraceError(`${path} has the columns ${header.join(", ")}, not ${columns.join(", ")}: choose those, or another file`);
}

function formatOf(path: string): FileFormat {
  if (path.endsWith(".csv")) return "csv";
  return path.endsWith(".txt") ? "text" : "ndjson";
}

class FileSink implements Sink {
  readonly #file: FileHandle;
  readonly #path: string;
  readonly #writer: LineWriter;
  readonly #sync: Settings["sync"];
  readonly #outage: Outage;
  readonly #queue = new Queue();
  #begins: "empty file" | "more" | undefined;
  #closed: Promise<void> | undefined;

  constructor(file: FileHandle, path: string, writer: LineWriter, config: Settings, context: OpenContext) {
    this.#file = file;
    this.#path = path;
    this.#writer = writer;
    this.#sync = config.sync;
    this.#outage = new Outage(`file ${path}`, context);
  }

  write(events: readonly Event[], signal: AbortSignal): Promise<void> {
    return this.#queue.run(signal, () => this.#append(events, signal));
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #append(events: readonly Event[], signal: AbortSignal): Promise<void> {
    this.#begins ??= (await this.#file.stat()).size === 0 ? "empty file" : "more";
    const { bytes, refused } = this.#writer.linesOf(events, this.#begins);
    if (bytes.length > 0) {
      this.#begins = "more";
      await this.#writeOut(bytes, signal);
    }
    if (refused !== undefined) throw refused;
  }

  async #writeOut(bytes: Buffer, signal: AbortSignal): Promise<void> {
    let written = 0;
    await this.#outage.waitOut(signal, async () => {
      try {
        while (written < bytes.length) written += (await this.#file.write(bytes, written, bytes.length - written)).bytesWritten;
        if (this.#sync === "always") await this.#file.datasync();
      } catch (error) {
        throw new InfrastructureError(`writing to ${this.#path} failed: ${messageOf(error)}`, { cause: error });
      }
    });
  }

  async #close(): Promise<void> {
    await this.#queue.idle();
    // A disk that can't be synced has its say in the log of the operating system; what was confirmed was confirmed.
    await this.#file.datasync().catch(() => undefined);
    await this.#file.close();
  }
}
