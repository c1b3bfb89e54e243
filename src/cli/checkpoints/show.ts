import type { CheckpointStore, StoredCheckpoint } from "../../checkpoint-store.ts";
import { messageOf, UsageError } from "../../errors.ts";
import type { SavedStepEntry } from "../../pipeline/state/manifest.ts";
import { DamagedCheckpointError } from "../../pipeline/state/manifest.ts";
import { countOpenItems } from "../../pipeline/state/open-items.ts";
import { seeManifest, sizeOf, watermarkIn } from "../../pipeline/state/operated-checkpoints.ts";
import { type LoadedCheckpoint, loadCheckpoint } from "../../pipeline/state/saved-checkpoint.ts";
import { EXIT } from "../exit-codes.ts";
import type { SettingsFlags } from "../settings-flags.ts";
import type { Surroundings } from "../surroundings.ts";
import { alignColumns } from "../table.ts";
import { readTasks } from "../tasks.ts";
import { Fitting } from "./fitting.ts";
import { withStore } from "./open-store.ts";
import { ageText, bytesText, timeText } from "./words.ts";

/** The flags of `checkpoints show`. */
export type ShowFlags = SettingsFlags;

/** `millrace checkpoints show`. */
export async function show(task: string, partition: string | undefined, flags: ShowFlags, surroundings: Surroundings): Promise<number> {
  return await withStore(flags, surroundings, async ({ store, settings, signal }) => {
    const all = await store.list(task, signal);
    const wanted = all.filter(({ name }) => partition === undefined || name.partition === partition);
    if (wanted.length === 0) throw new UsageError(nothing(task, partition, all));
    const fitting = new Fitting(await readTasks(settings));
    for (const [index, stored] of wanted.entries()) {
      if (index > 0) surroundings.out("\n");
      surroundings.out(await wholeText(stored, store, fitting, signal));
    }
    return EXIT.done;
  });
}

/** What is to be told where there is nothing. */
export function nothing(task: string, partition: string | undefined, all: readonly StoredCheckpoint[]): string {
  if (partition === undefined || all.length === 0) return `the store has no checkpoint of task "${task}"`;
  return `task "${task}" has no checkpoint of "${partition}"; it has some of ${all.map(({ name }) => name.partition).join(", ")}`;
}

async function wholeText(stored: StoredCheckpoint, store: CheckpointStore, fitting: Fitting, signal: AbortSignal): Promise<string> {
  const { name, epoch, manifests, fault } = stored;
  const head = [
    ["task", name.task],
    ["partition", name.partition],
    ["epoch", `${epoch} (how often it was claimed)`],
  ];
  if (fault !== undefined) return alignColumns([...head, ["fault", fault]]);
  if (manifests.length === 0) return alignColumns([...head, ["saved", "nothing yet"]]);
  let text = alignColumns(head);
  for (const [index, bytes] of manifests.entries()) {
    const seen = seeManifest(bytes);
    text += index === 0 ? "newest checkpoint\n" : "the one before it\n";
    if (seen.state !== "readable") {
      text += `  ${seen.state}: ${seen.why}\n`;
      continue;
    }
    const { manifest } = seen;
    const { fits, why } = await fitting.of(manifest, name.task, signal);
    const loaded = await orDamage(loadCheckpoint(bytes, { name }, store, signal));
    text += indented([
      ["position", `${manifest.position} (reading goes on there)`],
      ["safe position", `${manifest.safePosition} (reading would begin there without the state)`],
      ["watermark", timeText(watermarkIn(manifest))],
      ["made", `${timeText(manifest.time)} (${ageText(Date.now() - manifest.time)} ago), by Millrace ${manifest.version}`],
      ["product", manifest.product],
      ["number", `${manifest.number} of its owner`],
      ...(manifest.edition === undefined ? [] : [["edition", manifest.edition]]),
      ["whole", typeof loaded === "string" ? `no: ${loaded}` : "yes"],
      ["fits", why === undefined ? fits : `${fits}: ${why}`],
    ]);
    for (const step of manifest.steps) text += await stepText(step, typeof loaded === "string" ? undefined : loaded);
    if (manifest.steps.length === 0) text += "  no state\n";
  }
  return text;
}

async function stepText(step: SavedStepEntry, loaded: LoadedCheckpoint | undefined): Promise<string> {
  const saved = loaded?.steps.get(step.name);
  const open = saved === undefined || step.segments.length === 0 ? undefined : await countOpenItems(saved.segments);
  const items = open === undefined ? "" : `, ${open} open, in ${step.segments.length} segments`;
  return `  step ${step.name}: ${step.shape}; ${bytesText(sizeOf(step))}${items}\n`;
}

async function orDamage(loading: Promise<LoadedCheckpoint>): Promise<LoadedCheckpoint | string> {
  try {
    return await loading;
  } catch (error) {
    if (error instanceof DamagedCheckpointError) return messageOf(error);
    throw error;
  }
}

function indented(rows: readonly (readonly string[])[]): string {
  return alignColumns(rows.map(([label = "", ...rest]) => [`  ${label}`, ...rest]));
}
