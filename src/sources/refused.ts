import type { Event } from "../batch.ts";
import type { Failures } from "../contracts.ts";
import { DataError } from "../errors.ts";

/** What ends the reading at a record that can't be read; undefined when it was taken out and the reading goes on. */
export function refused(event: Event, error: unknown, failures: Failures | undefined): { readonly thrown: unknown } | undefined {
  if (failures === undefined) return { thrown: new DataError("source", event, error) };
  try {
    failures.take("source", event, error);
    return undefined;
  } catch (thrown) {
    return { thrown };
  }
}
