import type { Position } from "../batch.ts";
import type { TopicInfo } from "./driver.ts";
import type { LogRange } from "./out-of-range.ts";

/** Asks a leader for the first offset of its partitions, or for the end of finished transactions. */
type AskLeader = (leader: number, partitions: readonly number[], edge: "first" | "end") => Promise<ReadonlyMap<number, Position>>;

/**
 * Asks the leaders of partitions for their offsets. A partition without a leader, or whose leader does not answer, is left out.
 * @throws what the first leader that failed threw, when none answered
 */
export async function rangesFromLeaders(
  { leaders }: TopicInfo,
  partitions: readonly number[],
  ask: AskLeader,
): Promise<ReadonlyMap<number, LogRange>> {
  const ranges = new Map<number, LogRange>();
  const led = partitions.filter((partition) => (leaders[partition] ?? -1) >= 0);
  const byLeader = Map.groupBy(led, (partition) => leaders[partition] as number);
  const asked = await Promise.allSettled(
    [...byLeader].map(async ([leader, theirs]) => {
      const first = await ask(leader, theirs, "first");
      const end = await ask(leader, theirs, "end");
      for (const partition of theirs) {
        const last = end.get(partition) ?? 0;
        const begin = first.get(partition) ?? 0;
        // Negative where no record is so late.
        ranges.set(partition, { first: begin < 0 ? last : begin, end: last });
      }
    }),
  );
  const failed = asked.find((one) => one.status === "rejected");
  if (failed !== undefined && ranges.size === 0) throw failed.reason;
  return ranges;
}
