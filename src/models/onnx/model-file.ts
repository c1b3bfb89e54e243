import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { basename, extname, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { ConfigError, messageOf } from "../../errors.ts";
import type { ModelIdentity } from "../../model-stats.ts";
import { modelVersion } from "./model-version.ts";

/** A model's file, looked at. */
export interface ModelFile {
  /** Absolute. */
  readonly path: string;
  readonly identity: ModelIdentity;
  /** SHA-256 of what it holds, in hex. */
  readonly hash: string;
}

/**
 * @param path absolute, a file URL, or relative to the directory
 * @param directory default: the working directory
 */
export function modelPath(path: string, directory: string | undefined): string {
  return path.startsWith("file:") ? fileURLToPath(path) : resolve(directory ?? ".", path);
}

/**
 * Looks who a model is: its name is that of its file, its version what the file says, else the first eight characters of its SHA-256.
 * @throws {ConfigError} when there is no such file, or it is empty
 */
export async function lookAt(
  path: string,
  given: { readonly name?: string | undefined; readonly version?: string | undefined },
): Promise<ModelFile> {
  const hash = createHash("sha256");
  let head: Buffer | undefined;
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      head ??= chunk;
      hash.update(chunk);
    }
  } catch (error) {
    throw new ConfigError([{ where: path, what: `the ONNX model can't be read: ${messageOf(error)}` }]);
  }
  if (head === undefined) throw new ConfigError([{ where: path, what: "the ONNX model is an empty file" }]);
  const held = hash.digest("hex");
  const version = given.version ?? modelVersion(head) ?? held.slice(0, 8);
  return { path, identity: { name: given.name ?? basename(path, extname(path)), version }, hash: held };
}
