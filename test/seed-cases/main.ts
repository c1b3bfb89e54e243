import { readFile } from "node:fs/promises";
import { parseArgs } from "node:util";

import type { SeedCase } from "./case.ts";
import { judge } from "./judge.ts";

/** Which cases of a file are run. */
export interface Selection {
  readonly system?: string | undefined;
  /** A part of the feature's name, in any case of letters. */
  readonly feature?: string | undefined;
}

/** Reads a file of cases. */
export async function readCases(file: string | URL, { system, feature = "" }: Selection = {}): Promise<readonly SeedCase[]> {
  const cases = JSON.parse(await readFile(file, "utf8")) as readonly SeedCase[];
  const text = feature.toLowerCase();
  return cases.filter((each) => (system === undefined || each.system === system) && each.feature.toLowerCase().includes(text));
}

/** Runs cases one after the other. @returns what is wrong, by id, in the order of the cases */
export async function failuresOf(
  cases: readonly SeedCase[],
  tell: (failure: string) => void = () => undefined,
): Promise<readonly string[]> {
  const failures: string[] = [];
  for (const given of cases) {
    const wrong = await judge(given);
    if (wrong === undefined) continue;
    failures.push(given.id);
    tell(`${given.id} ${given.system}, ${given.feature}: ${wrong}`);
  }
  return failures;
}

/** The command line. @returns the exit code */
export async function main(args: readonly string[]): Promise<number> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: { system: { type: "string" }, feature: { type: "string" } },
  });
  const [file] = positionals;
  if (file === undefined || positionals.length > 1) {
    console.error("usage: node test/seed-cases.ts FILE [--system storey|mlserver|mlrun|streamz] [--feature TEXT]");
    return 2;
  }
  const cases = await readCases(file, values);
  const failures = await failuresOf(cases, (failure) => console.log(failure));
  console.log(`${cases.length - failures.length} passed, ${failures.length} failed`);
  return failures.length === 0 ? 0 : 1;
}
