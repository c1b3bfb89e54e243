import { ConfigError, messageOf, MillraceError, PlanError, stackOf, UsageError, type Fault } from "../errors.ts";
import { EXIT } from "./exit-codes.ts";
import type { Surroundings } from "./surroundings.ts";

/** Tells what went wrong, and gives the exit code for it. Only a bug has a stack trace. */
export function reportFailure(error: unknown, { err }: Surroundings): number {
  if (error instanceof ConfigError) {
    err(faultList(error.faults));
    return EXIT.config;
  }
  if (error instanceof UsageError) {
    err(`millrace: ${error.message}\n`);
    return EXIT.usage;
  }
  if (error instanceof PlanError) {
    err(`millrace: ${error.message}\n`);
    return EXIT.config;
  }
  if (error instanceof MillraceError) {
    err(`millrace: ${error.message}\n`);
    return EXIT.failed;
  }
  err(`millrace: this is a bug in Millrace. Please report it, with what you did and the lines below.\n${traceOf(error)}\n`);
  return EXIT.failed;
}

/** Tells of an error that nobody waited for, such as one in a timer. It may come from a product's code just as well. */
export function reportStrayError(error: unknown, { err }: Surroundings): number {
  err(
    `millrace: an error that nothing caught ends this process. If the lines below are not of your product, please report it.\n${traceOf(error)}\n`,
  );
  return EXIT.failed;
}

function traceOf(error: unknown): string {
  return stackOf(error) ?? messageOf(error);
}

/** Faults one below the other; the further lines of one are indented. */
export function faultList(faults: readonly Fault[]): string {
  const lines = faults.map(({ where, what }) => `  ${where}: ${what.replaceAll("\n", "\n    ")}\n`);
  return `millrace: ${faults.length === 1 ? "there is a fault" : `there are ${faults.length} faults`}:\n${lines.join("")}`;
}
