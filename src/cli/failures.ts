import { ConfigError, MillraceError, PlanError, UsageError, type Fault } from "../errors.ts";
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
  const trace = error instanceof Error ? (error.stack ?? String(error)) : String(error);
  err(`millrace: this is a bug in Millrace. Please report it, with what you did and the lines below.\n${trace}\n`);
  return EXIT.failed;
}

/** Faults one below the other; the further lines of one are indented. */
export function faultList(faults: readonly Fault[]): string {
  const lines = faults.map(({ where, what }) => `  ${where}: ${what.replaceAll("\n", "\n    ")}\n`);
  return `millrace: ${faults.length === 1 ? "there is a fault" : `there are ${faults.length} faults`}:\n${lines.join("")}`;
}
