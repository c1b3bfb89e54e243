import type { Position } from "../batch.ts";
import type { Logger } from "../contracts.ts";
import { InfrastructureError } from "../errors.ts";
import type { OutOfRangePolicy } from "./consumer.ts";

/** The offsets that a partition's log has: from `first` to before `end`. */
export interface LogRange {
  readonly first: Position;
  readonly end: Position;
}

/**
 * What to do when a position is not in the log. Never silent: records are missing, or would be read twice.
 * @returns where to go on
 * @throws {InfrastructureError} saying how large the gap is, when the policy is to fail
 */
export function resolveOutOfRange(
  partition: string,
  position: Position,
  log: LogRange,
  policy: OutOfRangePolicy,
  logger: Logger,
): Position {
  const gap = position < log.first ? log.first - position : position - log.end;
  const what =
    position < log.first
      ? `position ${position} is below the log's start ${log.first}: ${gap} offsets were deleted before they were read`
      : `position ${position} is ${gap} above the log's end ${log.end}: records were lost by the broker, or the topic was made anew`;
  const where = `Kafka partition ${partition}: ${what}`;
  if (policy === "fail") {
    throw new InfrastructureError(
      `${where}. Set onOutOfRange to "earliest" or "latest" on the source to go on without them, or set the group's offsets`,
    );
  }
  const next = policy === "earliest" ? log.first : log.end;
  logger.error(
    { partition, position, first: log.first, end: log.end, gap, next },
    `${where}; going on at ${next} (onOutOfRange: ${policy})`,
  );
  return next;
}
