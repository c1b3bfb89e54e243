import type { CheckpointStore } from "../../checkpoint-store.ts";
import { openCheckpointStore } from "../../checkpoints/open.ts";
import { systemClock } from "../../clock.ts";
import type { LoadedSettings, Settings } from "../../config/settings.ts";
import type { OpenContext } from "../../contracts.ts";
import { PlannedStop } from "../../errors.ts";
import { type Logs, openLogs } from "../../observability/logs.ts";
import { openSharedResources } from "../../shared-resources.ts";
import type { TaskDefinition } from "../../tasks/task.ts";
import { chosenTask } from "../one-task.ts";
import { type SettingsFlags, settingsOf } from "../settings-flags.ts";
import type { Surroundings } from "../surroundings.ts";

/** The store of the settings, open. */
export interface OpenStore {
  readonly store: CheckpointStore;
  readonly loaded: LoadedSettings;
  readonly settings: Settings;
  readonly logs: Logs;
  readonly context: Pick<OpenContext, "connections" | "shared" | "logger" | "clock">;
  readonly signal: AbortSignal;
}

/**
 * Opens the checkpoint store, works with it, and closes it. A folder's lock is not taken: it keeps a second supervisor away, and what is
 * written here claims the partition first, which fences whoever works on it.
 */
export async function withStore<R>(flags: SettingsFlags, surroundings: Surroundings, work: (open: OpenStore) => Promise<R>): Promise<R> {
  const loaded = settingsOf(flags, surroundings);
  const { settings, secrets } = loaded;
  const format = settings.log.format === "json" ? "json" : "pretty";
  const logs = openLogs({ level: settings.log.level, format, secrets, fd: 2 }, {});
  const end = new AbortController();
  const context = {
    connections: { kafka: settings.kafka, nats: settings.nats, redis: settings.redis },
    shared: openSharedResources(),
    logger: logs.logger,
    clock: systemClock,
  };
  try {
    await using lease = await openCheckpointStore(settings.checkpoint.store, context);
    return await work({ store: lease.resource, loaded, settings, logs, context, signal: end.signal });
  } finally {
    end.abort(new PlannedStop("the command has ended"));
  }
}

/** The task of `--task`: an id, or the task itself as JSON or `@FILE`. */
export async function taskOf(flag: string, settings: Settings, surroundings: Surroundings): Promise<TaskDefinition> {
  const isText = /^\s*\{|^@/.test(flag);
  const task = await chosenTask(isText ? undefined : flag, isText ? flag : undefined, settings, surroundings.cwd);
  surroundings.hide(task.secrets);
  return task;
}
