/** What stands in the place of a result that a model could not give. */
export class FailedOutput {
  readonly error: unknown;

  constructor(error: unknown) {
    this.error = error;
  }
}

/**
 * In the answer of a model: this row failed. It alone is tried again, if the step has retries and the error is no DataError.
 * @returns to stand where the row's result would
 */
export function failed(error: unknown): never {
  // Typed as nothing, so that the results keep their type.
  return new FailedOutput(error) as never;
}

/** A model gave another number of results than it was given inputs, so nobody knows which is whose: a bug, of no event. */
export class RowCountError extends TypeError {
  override readonly name = "RowCountError";
}

/** @throws TypeError when there is not one output for each of so many inputs */
export function checkRows(outputs: unknown, rows: number): ArrayLike<unknown> {
  if (!isRows(outputs)) throw new RowCountError(`the model must return an array with one result for each of its ${rows} inputs`);
  if (outputs.length !== rows) throw new RowCountError(`the model returned ${outputs.length} results for ${rows} inputs`);
  return outputs;
}

/** An array, or a typed array with a number for each row. */
function isRows(outputs: unknown): outputs is ArrayLike<unknown> {
  return Array.isArray(outputs) || (ArrayBuffer.isView(outputs) && "length" in outputs);
}
