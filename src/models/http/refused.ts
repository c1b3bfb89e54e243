import { messageOf, MillraceError, RefusedError } from "../../errors.ts";

/**
 * What a product's function threw, as an error that is not tried again: it would throw the same. An error of Millrace's own says by its class
 * what is to become of it.
 */
export function refusedBy(thrown: unknown, what: string): MillraceError {
  return thrown instanceof MillraceError ? thrown : new RefusedError(`${what}: ${messageOf(thrown)}`, { cause: thrown });
}
