import type { OpenContext, Partition, Source, SourceSpec } from "../contracts.ts";
import { DecodedPartition } from "../sources/decoded-partition.ts";
import { type FileSourceSettings, fileSource, formatOf } from "../sources/file.ts";
import { decode, decoderFor, type Format } from "../values.ts";

/** Opens a file in the place of a plan's source: a source with a `format` decodes its values, so those of the file are decoded too. */
export async function openInput(
  { format }: SourceSpec,
  path: string,
  fileFormat: FileSourceSettings["format"],
  context: OpenContext,
): Promise<Source> {
  // The records of a topic have no header, so a file of them has none either.
  const readAs = fileFormat ?? (format === "csv" ? "text" : formatOf(path));
  const file = await fileSource({ path, format: readAs }).open(context, { stateful: false });
  return format === undefined || readAs === "csv" ? file : new DecodedLines(file, format);
}

class DecodedLines implements Source {
  readonly #lines: Source;
  readonly #format: Format;

  constructor(lines: Source, format: Format) {
    this.#lines = lines;
    this.#format = format;
  }

  async *partitions(stop: AbortSignal): AsyncGenerator<Partition> {
    // No line is MessagePack: what can be written as that is JSON in a file.
    const decodeLine = this.#format === "msgpack" ? decode.json : decoderFor(this.#format);
    for await (const partition of this.#lines.partitions(stop)) {
      yield new DecodedPartition(partition as Partition<Uint8Array>, decodeLine);
    }
  }

  [Symbol.asyncDispose](): PromiseLike<void> {
    return this.#lines[Symbol.asyncDispose]();
  }
}
