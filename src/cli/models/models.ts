import type { AdminSettings } from "../../config/settings.ts";
import { MillraceError, messageOf } from "../../errors.ts";
import type { ModelReload, ReloadedModel } from "../../observability/admin.ts";
import type { ModelView } from "../../supervisor/model-ledger.ts";
import { adminUrl } from "../admin-url.ts";
import { EXIT } from "../exit-codes.ts";
import { type SettingsFlags, settingsOf } from "../settings-flags.ts";
import type { Surroundings } from "../surroundings.ts";
import { alignColumns } from "../table.ts";

/** The flags of `models list`. */
export interface ModelsFlags extends SettingsFlags {
  readonly json?: true;
}

/** How long the daemon may take to list its models, and to load one in all workers. Milliseconds. */
const PATIENCE = { list: 3000, reload: 90_000 } as const;

/** `millrace models list`. */
export async function list(flags: ModelsFlags, surroundings: Surroundings): Promise<number> {
  const { settings } = settingsOf(flags, surroundings);
  const response = await ask(settings.admin, "/api/models", { signal: AbortSignal.timeout(PATIENCE.list) });
  const views = (await jsonOf(response)) as readonly ModelView[];
  if (!Array.isArray(views)) throw notMillrace(response.url);
  if (flags.json === true) surroundings.out(`${JSON.stringify(views, undefined, 2)}\n`);
  else surroundings.out(views.length === 0 ? "No worker has a model.\n" : asText(views));
  return EXIT.done;
}

/** `millrace models reload`. */
export async function reload(name: string, flags: SettingsFlags, surroundings: Surroundings): Promise<number> {
  const { settings } = settingsOf(flags, surroundings);
  const path = `/api/models/${encodeURIComponent(name)}/reload`;
  const response = await ask(settings.admin, path, { method: "POST", signal: AbortSignal.timeout(PATIENCE.reload) });
  if (response.status === 404 || response.status === 409) throw new MillraceError((await response.text()).trim());
  const { workers } = (await jsonOf(response)) as Partial<ModelReload>;
  if (!Array.isArray(workers)) throw notMillrace(response.url);
  for (const outcome of workers) surroundings.out(`${toldOf(outcome)}\n`);
  return workers.some(({ error }: ReloadedModel) => error !== undefined) ? EXIT.failed : EXIT.done;
}

function toldOf({ worker, kind, before, version, error }: ReloadedModel): string {
  if (error !== undefined) return `worker ${worker}: ${before === undefined ? "" : `${before} goes on: `}${error}`;
  return `worker ${worker}: ${version === before ? `${version} again` : `${before} -> ${version}`} (${kind})`;
}

async function ask(admin: AdminSettings, path: string, init: RequestInit): Promise<Response> {
  const base = adminUrl(admin);
  if (base === undefined) throw new MillraceError("admin.port is 0: say on which port the daemon answers, with --set admin.port=PORT");
  try {
    return await fetch(base + path, { ...init, redirect: "error" });
  } catch (error) {
    const cause = error instanceof Error && error.cause !== undefined ? error.cause : error;
    throw new MillraceError(`no daemon answers on ${base}: ${messageOf(cause)}`, { cause: error });
  }
}

async function jsonOf(response: Response): Promise<unknown> {
  try {
    return await response.json();
  } catch {
    throw notMillrace(response.url);
  }
}

function notMillrace(url: string): MillraceError {
  return new MillraceError(`what answers on ${url} is no Millrace`);
}

function asText(views: readonly ModelView[]): string {
  const rows = views.map((view) => {
    const { name, version, kind, worker, state, calls, rows: given, restarts, errors, inFlight, queued } = view;
    const failed = Object.values(errors).reduce((sum, count) => sum + count, 0);
    const each = calls === 0 ? "-" : (given / calls).toFixed(1);
    const milliseconds = calls === 0 ? "-" : ((1000 * view.predictSeconds) / calls).toFixed(2);
    const why = (view.reason ?? view.refusal ?? "").split("\n", 1)[0] ?? "";
    const numbers = [calls, given, each, milliseconds, inFlight, queued, failed, restarts].map(String);
    return [name, version, kind, String(worker), state, ...numbers, why];
  });
  const numbers = ["CALLS", "ROWS", "ROWS/CALL", "MS/CALL", "IN FLIGHT", "QUEUED", "FAILED", "RESTARTS"];
  return alignColumns([["MODEL", "VERSION", "KIND", "WORKER", "STATE", ...numbers, "REASON"], ...rows]);
}
