/** What the files of the file store hold: a line with kind, version and checksum, then what the checksum is of. */
import { hash } from "node:crypto";

import { ConfigError } from "../errors.ts";

const VERSION = 1;

/** The content of a file, in pieces. */
export function sealed(kind: "manifest" | "part", body: readonly Uint8Array[]): readonly Uint8Array[] {
  const line = `millrace-${kind} ${VERSION} ${hash("sha256", Buffer.concat(body))}\n`;
  return [Buffer.from(line), ...body];
}

/**
 * What a file holds; undefined when it is torn or damaged.
 * @throws {ConfigError} when a later version of Millrace wrote it
 */
export function unsealed(kind: "manifest" | "part", bytes: Buffer, path: string): Buffer | undefined {
  const end = bytes.indexOf("\n");
  const match = new RegExp(`^millrace-${kind} (\\d+) ([0-9a-f]{64})$`).exec(bytes.subarray(0, Math.max(end, 0)).toString("latin1"));
  if (match === null) return undefined;
  if (Number(match[1]) > VERSION) {
    const what = "a later version of Millrace wrote this checkpoint: run that version, or throw it away with millrace checkpoints reset";
    throw new ConfigError([{ where: path, what }]);
  }
  const body = bytes.subarray(end + 1);
  return hash("sha256", body) === match[2] ? body : undefined;
}

/** A manifest as a file keeps it. */
export interface KeptManifest {
  readonly manifest: Uint8Array;
  /** Parts that the manifest before it spoke of and it does not: they stay while that one is kept. */
  readonly dropped: readonly string[];
}

export function manifestFile({ manifest, dropped }: KeptManifest): readonly Uint8Array[] {
  return sealed("manifest", [Buffer.from(`${JSON.stringify({ dropped })}\n`), manifest]);
}

/** The manifest in a file; undefined when it is torn or damaged. @throws {ConfigError} when a later version of Millrace wrote it */
export function readManifestFile(bytes: Buffer, path: string): KeptManifest | undefined {
  const body = unsealed("manifest", bytes, path);
  if (body === undefined) return undefined;
  const end = body.indexOf("\n");
  const { dropped } = JSON.parse(body.subarray(0, end).toString()) as { readonly dropped: readonly string[] };
  return { manifest: body.subarray(end + 1), dropped };
}
