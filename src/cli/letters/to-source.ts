/** Letters that go back to where their records came from, to be read by the running task again. */
import type { Sink, SinkSpec } from "../../contracts.ts";
import type { DeadLetter } from "../../dead-letter.ts";
import { UsageError } from "../../errors.ts";
import { jetstreamSink } from "../../sinks/jetstream.ts";
import { kafkaSink } from "../../sinks/kafka.ts";
import { eventOf } from "../../sinks/letters/sink-writer.ts";
import type { OpenLetters } from "./open-box.ts";
import { replayHeaders } from "./replay-headers.ts";

/** The way back. */
export interface Returns extends AsyncDisposable {
  /** Why a letter can't go back; undefined when it can. */
  refusal(letter: DeadLetter): string | undefined;
  /** Settles when all are confirmed. */
  write(letters: readonly DeadLetter[], signal: AbortSignal): Promise<void>;
}

/**
 * Opens the way back to the source of a task.
 * @param subject for JetStream: where messages go; not needed where the source reads one subject without wildcards
 * @throws {UsageError} when nothing can be written to the source
 */
export function openReturns({ plan, context }: OpenLetters, subject: string | undefined): Returns {
  const { source } = plan;
  const targetOf = targets(source.kind, source.description, subject);
  const open = new Map<string, Sink>();
  const sinkOf = async (name: string): Promise<Sink> => {
    const known = open.get(name) ?? (await targetOf(name).open({ ...context, part: "returned" }));
    open.set(name, known);
    return known;
  };
  return {
    refusal({ holds, origin }) {
      if (holds === "derived")
        return "it holds what a step made of several events, so it can't go back to the source: replay it without --to source";
      if (origin.system !== source.kind) return `it came from ${origin.system} ${origin.name}, and the source is ${source.kind} by now`;
      return undefined;
    },
    async write(letters, signal) {
      for (const [name, group] of Map.groupBy(letters, ({ origin }) => origin.name)) {
        const sink = await sinkOf(name);
        await sink.write(group.map(returned), signal);
      }
    },
    async [Symbol.asyncDispose]() {
      for (const sink of open.values()) await sink[Symbol.asyncDispose]();
    },
  };
}

function targets(kind: string, description: SinkSpec["description"], subject: string | undefined): (name: string) => SinkSpec {
  if (kind === "kafka") {
    const keyEncoding = description["keyEncoding"] === "latin1" ? "latin1" : "utf8";
    return (topic) => kafkaSink({ topic, ids: false, keyEncoding });
  }
  if (kind !== "jetstream") throw new UsageError(`--to source: nothing can be written back to a ${kind} source: replay without it`);
  const read = String(description["subjects"] ?? "");
  const target = subject ?? (/[*>, ]|^$/.test(read) ? undefined : read);
  if (target === undefined)
    throw new UsageError(
      `--to source: the task reads ${read === "" ? "all subjects of its stream" : read}: name the one to write to with --subject`,
    );
  return (stream) => jetstreamSink({ subject: target, stream, key: "none" });
}

/** By the attempts the broker tells it from an earlier replay of the same letter, which it may take for a repeat. */
function returned(letter: DeadLetter) {
  const { id, attempts, lastFailure, value, key, time } = letter;
  return eventOf({ name: `${id}:${attempts}:${lastFailure}`, value, key, headers: replayHeaders(letter), time });
}
