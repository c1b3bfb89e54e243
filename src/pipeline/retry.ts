import { DataError, InfrastructureError, InputError, ModelError, RefusedError } from "../errors.ts";

/** Something outside refused a call and may take it later; where it has said when, no earlier. */
export class RetryableError extends InfrastructureError {
  override readonly name: string = "RetryableError";
  /** Milliseconds until the next try at least; undefined: as the back-off says. */
  readonly retryAfter: number | undefined;

  constructor(message: string, options: ErrorOptions & { readonly retryAfter?: number | undefined } = {}) {
    super(message, options);
    this.retryAfter = options.retryAfter;
  }
}

/** The longest wait by back-off before a retry, in seconds. */
const LONGEST_BACKOFF = 120;

/** The longest wait that a `retryAfter` can ask for, in milliseconds: nobody outside may stop a task for good. */
const LONGEST_RETRY_AFTER = 3_600_000;

/** Seconds before the retry after attempt `attempt`, at most: factor, 2 × factor, 4 × factor …, at most 120. */
export function backoff(factor: number, attempt: number): number {
  return Math.min(LONGEST_BACKOFF, factor * 2 ** (attempt - 1));
}

/**
 * Milliseconds before the retry after attempt `attempt`: between half of the back-off and all of it, so that calls that
 * failed together do not come back in step, and as long as the errors ask for.
 * @param random from 0 to 1
 */
export function waitBefore(factor: number, attempt: number, errors: readonly unknown[], random: () => number): number {
  const wait = backoff(factor, attempt) * 1000 * (0.5 + random() / 2);
  return errors.reduce((longest: number, error) => Math.max(longest, retryAfterOf(error)), wait);
}

/** Whether trying again can help. */
export function mayPass(error: unknown): boolean {
  const fault = error instanceof ModelError ? error.cause : error;
  return !(fault instanceof DataError || fault instanceof InputError || fault instanceof RefusedError);
}

function retryAfterOf(error: unknown): number {
  const retryAfter: unknown = error instanceof Error && "retryAfter" in error ? error.retryAfter : undefined;
  return typeof retryAfter === "number" && retryAfter > 0 ? Math.min(retryAfter, LONGEST_RETRY_AFTER) : 0;
}
