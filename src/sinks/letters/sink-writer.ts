/** Dead letters on a broker are written through its sink, which waits outages out and keeps the order. */
import type { Event, EventHeaders, Origin } from "../../batch.ts";
import { NO_WATERMARK } from "../../batch.ts";
import type { Sink } from "../../contracts.ts";
import type { DeadLetter } from "../../dead-letter.ts";
import { DataError } from "../../errors.ts";
import { LetterRefusedError, writeFitting } from "./fit.ts";

/** What is written to a broker for a letter, or to take one away. */
export interface Written {
  /** Tells writes apart: a broker that drops repeats must not drop another letter. */
  readonly name: string;
  readonly value: Uint8Array | null;
  readonly key: string | undefined;
  readonly headers: EventHeaders;
  /** Milliseconds since the epoch. */
  readonly time: number;
}

/** The event by which a sink writes it. Its origin is its own. */
export function eventOf({ name, ...written }: Written): Event {
  const origin: Origin = { system: "letter", name, partition: undefined };
  return { ...written, origin, offset: 0, watermark: NO_WATERMARK, size: 0 };
}

/** Writes letters; of one that the sink refuses, as much as it takes. */
export async function writeLetters(
  sink: Sink,
  letters: readonly DeadLetter[],
  form: (letter: DeadLetter) => Written,
  signal: AbortSignal,
): Promise<void> {
  const events = letters.map((letter) => eventOf(form(letter)));
  for (let from = 0; from < events.length;) {
    const rest = events.slice(from);
    try {
      await sink.write(rest, signal);
      return;
    } catch (error) {
      const refused = refusedOf(rest, error);
      if (refused === -1) throw error;
      await writeFitting(letters[from + refused] as DeadLetter, (less) => writeOne(sink, eventOf(form(less)), signal));
      // The sink may not have written those behind it.
      from += refused + 1;
    }
  }
}

async function writeOne(sink: Sink, event: Event, signal: AbortSignal): Promise<void> {
  try {
    await sink.write([event], signal);
  } catch (error) {
    if (refusedOf([event], error) === -1) throw error;
    throw new LetterRefusedError((error as DataError).message, { cause: error });
  }
}

/** Which event the sink refused; -1 when it is no refusal. */
function refusedOf(events: readonly Event[], error: unknown): number {
  return error instanceof DataError ? events.findIndex(({ origin }) => origin === error.place?.origin) : -1;
}
