import { abortable } from "../abortable.ts";
import type { Event } from "../batch.ts";
import type { Sink } from "../contracts.ts";
import { InfrastructureError, messageOf } from "../errors.ts";
import type { LineWriter } from "./file-format.ts";
import { Queue } from "./queue.ts";

/** Writes lines to standard output, as fast as whoever reads it takes them. */
export class StdoutSink implements Sink {
  readonly #writer: LineWriter;
  readonly #queue = new Queue();
  #begins: "empty file" | "more" = "empty file";

  constructor(writer: LineWriter) {
    this.#writer = writer;
    // A reader that went away is told by the failed write; without a listener it would end the process.
    if (process.stdout.listenerCount("error") === 0) process.stdout.on("error", () => undefined);
  }

  write(events: readonly Event[], signal: AbortSignal): Promise<void> {
    return this.#queue.run(signal, async () => {
      const { bytes, refused } = this.#writer.linesOf(events, this.#begins);
      if (bytes.length > 0) {
        this.#begins = "more";
        // A reader that does not read holds the write back for as long as it likes.
        await abortable(writeOut(bytes), signal);
      }
      if (refused !== undefined) throw refused;
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#queue.idle();
  }
}

function writeOut(bytes: Buffer): Promise<void> {
  return new Promise((resolve, reject) => {
    process.stdout.write(bytes, (error) => {
      if (error === undefined || error === null) resolve();
      else reject(new InfrastructureError(`writing to standard output failed: ${messageOf(error)}`, { cause: error }));
    });
  });
}
