/** Checkpoint stores for tests: an empty place for each, and stores on it as several processes would open them. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";

import { FileCheckpointStore } from "../../src/checkpoints/file.ts";
import type { CheckpointStore } from "../../src/contracts.ts";
import { SILENT } from "../../src/contracts.ts";
import { tempFolder } from "./temp-folder.ts";

export interface StorePlace {
  readonly name: string;
  /** Whether the manifest before the last one is kept. */
  readonly keepsPrevious: boolean;
  prepare(t: TestContext): Promise<OpenStore>;
}

/** Opens another store on the place. */
export interface OpenStore {
  (): Promise<CheckpointStore>;
  /** Names of all that is there. */
  remains(): Promise<readonly string[]>;
}

export const PLACES: readonly StorePlace[] = [
  {
    name: "file",
    keepsPrevious: true,
    prepare: async (t) => {
      const path = join(tempFolder(t), "checkpoints");
      const open = async (): Promise<CheckpointStore> => new FileCheckpointStore(path, SILENT);
      return Object.assign(open, { remains: async () => readdirSync(path) });
    },
  },
];
