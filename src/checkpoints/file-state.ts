/**
 * The folder of one partition. `epoch-E` says who claimed it for the E-th time, and fences all before; it was created by one
 * claimant only. `manifest-E-TOKEN-N` is the N-th manifest, counted over all owners, written by that owner. `part-ID` is a part.
 *
 * A manifest counts only while the epoch of its owner is there, and of several those of the highest epoch come first. Each new
 * owner writes the last manifest again as its own and then deletes the epochs before: what a former owner writes late is never taken.
 */
import { join } from "node:path";

import type { CheckpointName } from "../checkpoint-store.ts";
import type { Logger } from "../contracts.ts";
import { DamagedStoreError } from "../errors.ts";
import type { KeptManifest } from "./file-format.ts";
import { readManifestFile } from "./file-format.ts";
import { bytesOf, namesIn, TEMPORARY } from "./folder.ts";
import { safeName } from "./names.ts";

/** Who claimed a partition. */
export interface Claimant {
  readonly epoch: number;
  /** Random: after everything was deleted epochs begin anew, and a former owner's must not count as one of these. */
  readonly token: string;
}

export const epochFile = (epoch: number): string => `epoch-${epoch}`;
export const partFile = (id: string): string => `part-${safeName(id, 200)}`;
export const isPart = (file: string): boolean => file.startsWith("part-");
export const manifestName = ({ epoch, token }: Claimant, number: number): string => `manifest-${epoch}-${token}-${number}`;

/** Of which epoch a file is an epoch file, a manifest or a temporary file; undefined for others. */
export function epochOf(file: string): number | undefined {
  const match = /^(?:epoch|manifest|tmp)-(\d+)(?:-|$)/.exec(file);
  return match === null ? undefined : Number(match[1]);
}

export function isEpoch(file: string): boolean {
  return file.startsWith("epoch-");
}

export function isTemporary(file: string): boolean {
  return file.startsWith(TEMPORARY);
}

/** The highest epoch that was claimed; 0 when none was. */
export function highestEpoch(files: readonly string[]): number {
  return files.reduce((highest, file) => Math.max(highest, isEpoch(file) ? (epochOf(file) ?? 0) : 0), 0);
}

interface EpochContent extends CheckpointName {
  readonly token: string;
}

export function epochContent({ task, partition }: CheckpointName, token: string): Uint8Array {
  return Buffer.from(JSON.stringify({ token, task, partition } satisfies EpochContent));
}

/** Undefined when it is not there, or was not written to its end: then nobody owns that epoch. */
export async function readEpoch(folder: string, epoch: number): Promise<EpochContent | undefined> {
  const bytes = await bytesOf(join(folder, epochFile(epoch)));
  try {
    return bytes === undefined ? undefined : (JSON.parse(bytes.toString()) as EpochContent);
  } catch {
    return undefined;
  }
}

/** Whether nobody claimed it later, and nothing was removed since. */
export async function isOwner(folder: string, { epoch, token }: Claimant): Promise<boolean> {
  const files = await namesIn(folder);
  if (files === undefined || highestEpoch(files) !== epoch) return false;
  return (await readEpoch(folder, epoch))?.token === token;
}

/** A manifest that was read. */
export interface FoundManifest extends KeptManifest {
  readonly number: number;
}

/**
 * The last manifest and the one before it, newest first. A damaged one is passed over, and the log told.
 * @throws {DamagedStoreError} when there are some but all are damaged
 * @throws {ConfigError} when a later version of Millrace wrote the last one
 */
export async function readManifests(folder: string, logger: Logger): Promise<readonly FoundManifest[]> {
  for (;;) {
    const found = await tryReadManifests(folder, logger);
    if (found !== undefined) return found;
  }
}

/** Undefined when the owner replaced a file meanwhile. */
async function tryReadManifests(folder: string, logger: Logger): Promise<readonly FoundManifest[] | undefined> {
  const files = await namesIn(folder);
  const candidates = await candidatesIn(folder, files ?? []);
  const found: FoundManifest[] = [];
  const damaged: string[] = [];
  for (const { file, number } of candidates) {
    if (found.length === 2 || number >= (found.at(-1)?.number ?? Infinity)) continue;
    const path = join(folder, file);
    const bytes = await bytesOf(path);
    if (bytes === undefined) return undefined;
    const kept = readManifestFile(bytes, path);
    if (kept === undefined) damaged.push(path);
    else found.push({ ...kept, number });
  }
  // A folder that is changed while it is listed may be listed in part.
  if (listing(files) !== listing(await namesIn(folder))) return undefined;
  const [first] = damaged;
  if (first === undefined) return found;
  if (found.length === 0) {
    const what =
      "is damaged, and there is no earlier one. Put an exported one in its place (millrace checkpoints import), or begin without it: start once with --reset-state";
    throw new DamagedStoreError([{ where: first, what }]);
  }
  logger.error({ files: damaged }, "a checkpoint file is damaged; the one before it is used");
  return found;
}

/** Manifests whose owner's epoch is there, the one to take first. */
async function candidatesIn(
  folder: string,
  files: readonly string[],
): Promise<readonly { readonly file: string; readonly number: number }[]> {
  const tokens = new Map<number, string | undefined>();
  for (const file of files.filter(isEpoch)) {
    const epoch = epochOf(file) ?? 0;
    tokens.set(epoch, (await readEpoch(folder, epoch))?.token);
  }
  return files
    .flatMap((file) => {
      const [, epoch, token, number] = /^manifest-(\d+)-([0-9a-f]+)-(\d+)$/.exec(file) ?? [];
      return token === undefined || tokens.get(Number(epoch)) !== token ? [] : [{ file, epoch: Number(epoch), number: Number(number) }];
    })
    .sort((a, b) => b.epoch - a.epoch || b.number - a.number);
}

/** What of a folder's content decides which manifests count. */
function listing(files: readonly string[] | undefined): string {
  return (files ?? [])
    .filter((file) => isEpoch(file) || file.startsWith("manifest-"))
    .sort()
    .join("\n");
}
