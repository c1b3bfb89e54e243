import { DataError, ModelError } from "millrace";

/** An error as Python would raise it: `ValueError: boom`. */
export class PythonError extends Error {
  override readonly name: string;

  constructor(name: string, message: string) {
    super(message);
    this.name = name;
  }
}

/** What was thrown in the first place. */
export function rootOf(error: unknown): unknown {
  return (error instanceof DataError || error instanceof ModelError) && error.cause !== undefined ? rootOf(error.cause) : error;
}

/** As Python tells an error. */
export function told(error: unknown): string {
  const root = rootOf(error);
  return root instanceof Error ? `${root.name}: ${root.message}` : String(root);
}
