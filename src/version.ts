import { readFileSync } from "node:fs";

interface Manifest {
  readonly version: string;
}

/** The version of the Millrace that runs, as its package has it. */
export const VERSION = (JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as Manifest).version;
