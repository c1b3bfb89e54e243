/** `offsets show` and `offsets set`. */
import type { Position } from "../../batch.ts";
import type { BrokerOffsets, PartitionOffsets } from "../../broker-offsets.ts";
import { MillraceError, UsageError } from "../../errors.ts";
import type { Plan } from "../../pipeline/plan.ts";
import { keepsCheckpoints } from "../../pipeline/state/open-checkpoints.ts";
import { newestReadable, putPosition } from "../../pipeline/state/operated-checkpoints.ts";
import type { TaskDefinition } from "../../tasks/task.ts";
import { type OpenStore, taskOf, withStore } from "../checkpoints/open-store.ts";
import { EXIT } from "../exit-codes.ts";
import type { SettingsFlags } from "../settings-flags.ts";
import type { Surroundings } from "../surroundings.ts";
import { alignColumns } from "../table.ts";
import { planOf } from "../tasks.ts";
import { openOffsets } from "./open-offsets.ts";

/** The flags of `offsets show`. */
export interface OffsetFlags extends SettingsFlags {
  readonly task: string;
  readonly json?: true;
}

/** The flags of `offsets set`. */
export interface SetFlags extends OffsetFlags {
  readonly partition?: readonly string[];
  readonly to: string;
}

interface Opened extends OpenStore {
  readonly task: TaskDefinition;
  readonly plan: Plan;
  readonly offsets: BrokerOffsets;
}

async function withOffsets(flags: OffsetFlags, surroundings: Surroundings, work: (opened: Opened) => Promise<number>): Promise<number> {
  return await withStore(flags, surroundings, async (open) => {
    const task = await taskOf(flags.task, open.settings, surroundings);
    open.logs.hide(task.secrets);
    const plan = await planOf(task, open.logs.logger, open.signal);
    await using offsets = await openOffsets(plan, task.id, { ...open.context, signal: open.signal });
    if (offsets === undefined) {
      const what = `task "${task.id}" reads a ${plan.source.kind} source, which keeps no offsets at a broker`;
      throw new UsageError(`${what}: \`millrace checkpoints show ${task.id}\` shows its saved position, if its pipeline keeps state`);
    }
    return await work({ ...open, task, plan, offsets });
  });
}

/** `millrace offsets show`. */
export async function show(flags: OffsetFlags, surroundings: Surroundings): Promise<number> {
  return await withOffsets(flags, surroundings, async ({ store, task, plan, offsets, signal }) => {
    const stored = keepsCheckpoints(plan) ? await store.list(task.id, signal) : [];
    const saved = new Map(stored.map(({ name, manifests }) => [name.partition, newestReadable(manifests)?.position]));
    const all = (await offsets.read()).map((one) => {
      const checkpoint = saved.get(one.partition);
      const at = checkpoint ?? one.committed;
      return { ...one, checkpoint, lag: at === undefined ? undefined : Math.max(0, one.end - Math.max(at, one.first)) };
    });
    if (flags.json === true) {
      surroundings.out(`${JSON.stringify(all, undefined, 2)}\n`);
      return EXIT.done;
    }
    const shown = (position: Position | undefined) => (position === undefined ? "-" : String(position));
    const rows = all.map(({ partition, checkpoint, committed, first, end, lag }) => [
      partition,
      ...[checkpoint, committed, first, end, lag].map(shown),
    ]);
    surroundings.out(alignColumns([["PARTITION", "CHECKPOINT", "COMMITTED", "FIRST", "END", "LAG"], ...rows]));
    return EXIT.done;
  });
}

/** `millrace offsets set`. */
export async function set(flags: SetFlags, surroundings: Surroundings): Promise<number> {
  return await withOffsets(flags, surroundings, async ({ store, task, plan, offsets, signal }) => {
    const all = await offsets.read();
    const { partition: wanted } = flags;
    const unknown = wanted?.find((name) => all.every(({ partition }) => partition !== name));
    if (unknown !== undefined) {
      const known = all.map(({ partition }) => partition).join(", ");
      throw new UsageError(`the source of task "${task.id}" has no partition "${unknown}"; it has ${known}`);
    }
    const chosen = all.filter(({ partition }) => wanted?.includes(partition) ?? true);
    const positions = await positionsOf(flags.to, chosen, offsets);
    if (keepsCheckpoints(plan)) {
      for (const [partition, position] of positions) {
        await putPosition(store, { task: task.id, partition }, { product: task.product, position }, signal);
      }
    } else {
      if (plan.steps.some(({ stateful }) => stateful))
        throw new MillraceError(
          `task "${task.id}" holds positions back for state that it does not save: set them while it is stopped, with the broker's tools`,
        );
      await offsets.commit(positions);
    }
    const how = keepsCheckpoints(plan) ? "begins without state" : "goes on";
    for (const [partition, position] of positions) surroundings.out(`${task.id} ${partition}: ${how} at position ${position}\n`);
    return EXIT.done;
  });
}

/** @throws {UsageError} when it is no place, or none that the log has */
async function positionsOf(
  to: string,
  chosen: readonly PartitionOffsets[],
  offsets: BrokerOffsets,
): Promise<ReadonlyMap<string, Position>> {
  if (to === "earliest") return new Map(chosen.map(({ partition, first }) => [partition, first]));
  if (to === "latest") return new Map(chosen.map(({ partition, end }) => [partition, end]));
  if (/^\d+$/.test(to)) {
    const position = Number(to);
    const outside = chosen.find(({ first, end }) => position < first || position > end);
    if (outside === undefined) return new Map(chosen.map(({ partition }) => [partition, position]));
    throw new UsageError(`--to: ${outside.partition} has the positions ${outside.first} to ${outside.end}, not ${to}`);
  }
  const time = Date.parse(to);
  if (Number.isNaN(time))
    throw new UsageError(`--to: "${to}" is no place: give earliest, latest, a position, or a time as 2026-11-24T20:00:00Z`);
  const found = await offsets.at(time);
  return new Map(chosen.map(({ partition, end }) => [partition, found.get(partition) ?? end]));
}
