import type { SeedCase } from "./case.ts";
import { UnknownCase } from "./case.ts";
import { mlrun } from "./mlrun-remote.ts";
import { mlserver } from "./mlserver.ts";
import type { Seen } from "./seen.ts";
import { difference } from "./seen.ts";
import { storey } from "./storey.ts";
import { streamz } from "./streamz.ts";

/** What a case should come to, and what it came to. */
export interface Judged {
  readonly target: unknown;
  readonly seen: Seen;
}

/** The systems whose cases are known. */
const SYSTEMS: Readonly<Record<string, (given: SeedCase) => Promise<Judged>>> = { storey, mlserver, mlrun, streamz };

/** Runs a case. @returns what is wrong; undefined when it passed */
export async function judge(given: SeedCase): Promise<string | undefined> {
  try {
    const run = Object.hasOwn(SYSTEMS, given.system) ? SYSTEMS[given.system] : undefined;
    if (run === undefined) throw new UnknownCase(`Millrace takes nothing after ${given.system}`);
    const { target, seen } = await run(given);
    return difference(target, seen);
  } catch (error) {
    if (error instanceof UnknownCase) return `not known: ${error.message}`;
    return error instanceof Error ? (error.stack ?? error.message) : String(error);
  }
}
