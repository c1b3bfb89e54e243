import type { StoredCheckpoint } from "../../checkpoint-store.ts";
import { newestReadable, seeManifest, sizeOf, watermarkIn } from "../../pipeline/state/operated-checkpoints.ts";
import { EXIT } from "../exit-codes.ts";
import type { SettingsFlags } from "../settings-flags.ts";
import type { Surroundings } from "../surroundings.ts";
import { alignColumns } from "../table.ts";
import { readTasks } from "../tasks.ts";
import { Fitting } from "./fitting.ts";
import { withStore } from "./open-store.ts";
import { ageText, bytesText, timeText } from "./words.ts";

/** The flags of `checkpoints list`. */
export interface ListFlags extends SettingsFlags {
  readonly task?: string;
  readonly json?: true;
}

/** One checkpoint as `--json` gives it. Times in milliseconds since the epoch, sizes in bytes. */
interface Listed {
  readonly task: string;
  readonly partition: string;
  readonly epoch: number;
  readonly state: "saved" | "empty" | "damaged" | "newer";
  readonly position?: number;
  readonly watermark?: number | undefined;
  readonly time?: number;
  readonly bytes?: number;
  readonly steps?: number;
  readonly fits?: "yes" | "no" | "unknown";
  readonly why?: string | undefined;
}

/** `millrace checkpoints list`. */
export async function list(flags: ListFlags, surroundings: Surroundings): Promise<number> {
  return await withStore(flags, surroundings, async ({ store, settings, signal }) => {
    const stored = await store.list(flags.task, signal);
    const fitting = new Fitting(await readTasks(settings));
    const listed: Listed[] = [];
    for (const one of stored) listed.push(await listedOf(one, fitting, signal));
    if (flags.json === true) surroundings.out(`${JSON.stringify(listed, asJson, 2)}\n`);
    else surroundings.out(listed.length === 0 ? "There are no checkpoints.\n" : asText(listed));
    return EXIT.done;
  });
}

async function listedOf(stored: StoredCheckpoint, fitting: Fitting, signal: AbortSignal): Promise<Listed> {
  const { name, epoch, manifests, fault } = stored;
  const base = { ...name, epoch };
  if (fault !== undefined) return { ...base, state: /later version/.test(fault) ? "newer" : "damaged", why: fault };
  const [newest] = manifests;
  if (newest === undefined) return { ...base, state: "empty", why: "a pipeline has begun, and nothing is saved yet" };
  const seen = seeManifest(newest);
  const manifest = newestReadable(manifests);
  if (seen.state === "newer") return { ...base, state: "newer", why: seen.why };
  if (manifest === undefined) return { ...base, state: "damaged", why: seen.state === "damaged" ? seen.why : undefined };
  const { fits, why } = await fitting.of(manifest, name.task, signal);
  return {
    ...base,
    state: "saved",
    position: manifest.position,
    watermark: watermarkIn(manifest),
    time: manifest.time,
    bytes: manifest.steps.reduce((sum, step) => sum + sizeOf(step), 0),
    steps: manifest.steps.length,
    fits,
    why: seen.state === "damaged" ? `the newest one is damaged (${seen.why}): this is the one before it` : why,
  };
}

function asText(all: readonly Listed[]): string {
  const rows = all.map((one) => {
    const fits = one.state === "saved" ? (one.fits ?? "-") : one.state;
    return [
      one.task,
      one.partition,
      String(one.position ?? "-"),
      timeText(one.watermark),
      one.time === undefined ? "-" : ageText(Date.now() - one.time),
      one.bytes === undefined ? "-" : bytesText(one.bytes),
      String(one.steps ?? "-"),
      String(one.epoch),
      fits,
      one.why ?? "",
    ];
  });
  return alignColumns([["TASK", "PARTITION", "POSITION", "WATERMARK", "AGE", "SIZE", "STEPS", "EPOCH", "FITS", "WHY"], ...rows]);
}

/** JSON has no infinite numbers. */
function asJson(_key: string, value: unknown): unknown {
  return value === Infinity || value === -Infinity ? undefined : value;
}
