import { UsageError } from "../../errors.ts";
import { resetCheckpoint } from "../../pipeline/state/operated-checkpoints.ts";
import { EXIT } from "../exit-codes.ts";
import type { SettingsFlags } from "../settings-flags.ts";
import type { Surroundings } from "../surroundings.ts";
import { planOf } from "../tasks.ts";
import { taskOf, withStore } from "./open-store.ts";
import { nothing } from "./show.ts";

/** The flags of `checkpoints reset`. */
export interface ResetFlags extends SettingsFlags {
  readonly task: string;
  readonly partition?: readonly string[];
  readonly all?: true;
}

/** `millrace checkpoints reset`. */
export async function reset(flags: ResetFlags, surroundings: Surroundings): Promise<number> {
  const { partition: wanted } = flags;
  if ((wanted === undefined) === (flags.all === undefined))
    throw new UsageError("which partitions? Name them with --partition, or give --all");
  return await withStore(flags, surroundings, async ({ store, settings, logs, signal }) => {
    const task = await taskOf(flags.task, settings, surroundings);
    const { steps } = await planOf(task, logs.logger, signal);
    const all = await store.list(task.id, signal);
    const unknown = wanted?.find((partition) => all.every(({ name }) => name.partition !== partition));
    if (all.length === 0 || unknown !== undefined) throw new UsageError(nothing(task.id, unknown, all));
    for (const { name } of all) {
      if (wanted !== undefined && !wanted.includes(name.partition)) continue;
      const done = await resetCheckpoint(store, name, steps, signal);
      const said = {
        reset: () => (done.how === "reset" ? `state is made anew from position ${done.position} on (it was at ${done.before})` : ""),
        removed: () =>
          done.how === "removed" ? `removed, since nothing of it could be read (${done.why}): it begins where its source says` : "",
        empty: () => "nothing was saved",
      }[done.how]();
      surroundings.out(`${task.id} ${name.partition}: ${said}\n`);
    }
    return EXIT.done;
  });
}
