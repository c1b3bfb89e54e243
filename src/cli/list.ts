import type { AdminSettings } from "../config/settings.ts";
import { messageOf } from "../errors.ts";
import { type TaskView, viewInvalid, viewState } from "../supervisor/model.ts";
import type { TaskSet } from "../tasks/task.ts";
import { adminUrl } from "./admin-url.ts";
import { whereText } from "./checkpoints/where.ts";
import { EXIT } from "./exit-codes.ts";
import { type SettingsFlags, settingsOf } from "./settings-flags.ts";
import type { Surroundings } from "./surroundings.ts";
import { alignColumns } from "./table.ts";
import { readTasks } from "./tasks.ts";

/** How long the running daemon may take to answer, in milliseconds. */
const PATIENCE = 3000;

/** `millrace list`. */
export async function list(flags: SettingsFlags & { readonly json?: true }, surroundings: Surroundings): Promise<number> {
  const { settings } = settingsOf(flags, surroundings);
  const live = await askDaemon(settings.admin, surroundings);
  const views = live ?? viewsOf(await readTasks(settings), surroundings);
  if (flags.json === true) {
    surroundings.out(`${JSON.stringify(views, undefined, 2)}\n`);
    return EXIT.done;
  }
  surroundings.out(views.length === 0 ? "There are no tasks.\n" : asText(views));
  if (views.some(({ keeps }) => keeps?.by === "checkpoints")) surroundings.err(`(checkpoints: ${whereText(settings.checkpoint)})\n`);
  if (live === undefined)
    surroundings.err(
      `(no daemon answers on ${settings.admin.host}:${settings.admin.port}: the tasks are shown as they are in their stores)\n`,
    );
  return EXIT.done;
}

/** The tasks as the running daemon knows them; undefined when none runs. */
async function askDaemon(admin: AdminSettings, { err }: Surroundings): Promise<readonly TaskView[] | undefined> {
  const base = adminUrl(admin);
  if (base === undefined) return undefined;
  const url = `${base}/api/tasks`;
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(PATIENCE), redirect: "error" });
    const views: unknown = response.ok ? await response.json() : undefined;
    if (Array.isArray(views) && views.every(isView)) return views;
    err(`millrace: warning: what answers on ${url} is no Millrace\n`);
  } catch (error) {
    // Nobody listens there: then there is no daemon. Anything else is worth a word.
    if (!isRefused(error)) err(`millrace: warning: ${url} gives no answer: ${messageOf(error)}\n`);
  }
  return undefined;
}

function isView(value: unknown): value is TaskView {
  return Array.isArray((value as Partial<TaskView> | null)?.instances);
}

function isRefused(error: unknown): boolean {
  const cause = error instanceof Error ? (error.cause as NodeJS.ErrnoException | undefined) : undefined;
  return cause?.code === "ECONNREFUSED";
}

function viewsOf(set: TaskSet, { err }: Surroundings): readonly TaskView[] {
  for (const { name, file, reason } of set.brokenProducts) err(`millrace: warning: ${file}: product "${name}": ${reason}\n`);
  for (const { store, reason } of set.awayStores) err(`millrace: warning: ${store}: the tasks can't be read: ${reason}\n`);
  const valid = [...set.valid.values()].map((task): TaskView => {
    const { id, product, enabled } = task;
    return { id, product, state: "stopped", ...(enabled ? {} : { reason: "it is not enabled" }), ...viewState(task), instances: [] };
  });
  return [...valid, ...set.invalid.map(viewInvalid)];
}

function asText(views: readonly TaskView[]): string {
  const rows = views.map(({ id, product, state, reason, keeps, instances }) => {
    const total = (count: "in" | "out" | "failed") => String(instances.reduce((sum, instance) => sum + instance[count], 0));
    const firstLine = (reason ?? "").split("\n", 1)[0] ?? "";
    const kept = keeps === undefined ? "-" : `${keeps.by} (${keeps.steps.join(", ")})`;
    return [id, product ?? "-", state, String(instances.length), total("in"), total("out"), total("failed"), kept, firstLine];
  });
  return alignColumns([["TASK", "PRODUCT", "STATE", "INSTANCES", "IN", "OUT", "FAILED", "KEEPS", "REASON"], ...rows]);
}
