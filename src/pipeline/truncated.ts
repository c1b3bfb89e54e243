import type { Batch, Event, Position } from "../batch.ts";
import { messageOf } from "../errors.ts";

/**
 * Thrown by a transform that met an event it can't pass: what came before it in the batch goes on its way and is
 * committed, then the error ends the pipeline exactly there.
 */
export class Truncated extends Error {
  /** The events before the failed one, with a position that does not pass it. */
  readonly batch: Batch;
  readonly error: unknown;

  constructor(batch: Batch, error: unknown) {
    super(messageOf(error), { cause: error });
    this.batch = batch;
    this.error = error;
  }
}

/**
 * Cuts a batch before the event that failed.
 * @param good the results of the events before it
 * @param failed the index of the failed event in `batch.events`
 * @param error why the pipeline ends there
 */
export function truncate(batch: Batch, good: Event[], failed: number, error: unknown): Truncated {
  const event = batch.events[failed];
  const watermark = event === undefined ? batch.watermark : Math.min(event.watermark, batch.watermark);
  return new Truncated({ events: good, position: positionBefore(batch, failed), watermark }, error);
}

/** The position to go back to when the events of a batch from `index` on are not done. */
export function positionBefore(batch: Batch, index: number): Position {
  let position = batch.position;
  for (let i = index; i < batch.events.length; i++) position = Math.min(position, batch.events[i]?.offset ?? position);
  return position;
}
