/**
 * Runs a random mix of faults: `npm run faults -- --seed N --minutes M`, with brokers and a supervisor of its own. The exit
 * code is 0 when nothing was lost and nothing is wrong, else 1, and 2 for a wrong command line. What a failed run left to look
 * at is in the folder that it names; the same command makes the same faults again.
 */
import { copyFileSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";

import { type FaultRunReport, runFaults, type Traces } from "./fault-run.ts";
import { type FaultRunOptions, LETTERS, PIPELINES, SINKS, SOURCES, STORES } from "./options.ts";

const USAGE = `usage: npm run faults -- [--seed N] [--minutes M] [--source ${SOURCES.join("|")}] [--sink ${SINKS.join("|")}]
  [--pipeline ${PIPELINES.join("|")}] [--store ${STORES.join("|")}] [--letters ${LETTERS.join("|")}]
  [--rate RECORDS_PER_SECOND] [--disorder MS] [--late PART_FROM_0_TO_1] [--brokers 1|3]
  [--only PART_OF_A_FAULT'S_NAME]… [--out FOLDER]`;

class UsageError extends Error {
  override readonly name = "UsageError";
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  try {
    const { options, out } = read(args);
    return (await runAndReport(options, out)) ? 0 : 1;
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    console.error(`${error.message}\n${USAGE}`);
    return 2;
  }
}

function read(args: readonly string[]): { options: FaultRunOptions; out: string } {
  const text = { type: "string" } as const;
  let values;
  try {
    ({ values } = parseArgs({
      args: [...args],
      options: {
        seed: text,
        minutes: text,
        source: text,
        sink: text,
        pipeline: text,
        store: text,
        rate: text,
        disorder: text,
        late: text,
        letters: text,
        brokers: text,
        out: text,
        only: { type: "string", multiple: true },
      },
    }));
  } catch (error) {
    throw new UsageError(String(error instanceof Error ? error.message : error));
  }
  const source = oneOf("source", values.source ?? "kafka", SOURCES);
  const pipeline = oneOf("pipeline", values.pipeline ?? "relay", PIPELINES);
  const sink = oneOf("sink", values.sink ?? source, SINKS);
  if (sink === "sql" && pipeline === "window") throw new UsageError("--sink sql takes records, not results of windows");
  const seed = numberOf("seed", values.seed ?? String(Math.floor(Math.random() * 1e6)));
  const options: FaultRunOptions = {
    seed,
    length: numberOf("minutes", values.minutes ?? "5") * 60_000,
    source,
    sink,
    pipeline,
    store: values.store === undefined ? undefined : oneOf("store", values.store, STORES),
    rate: numberOf("rate", values.rate ?? "2000"),
    disorder: numberOf("disorder", values.disorder ?? "0"),
    late: values.late === undefined ? undefined : numberOf("late", values.late),
    letters: values.letters === undefined ? undefined : oneOf("letters", values.letters, LETTERS),
    brokers: Number(oneOf("brokers", values.brokers ?? "1", ["1", "3"])),
    only: values.only,
  };
  return { options, out: resolve(values.out ?? join("faults", `seed-${seed}`)) };
}

function oneOf<T extends string>(name: string, given: string, allowed: readonly T[]): T {
  const found = allowed.find((one) => one === given);
  if (found === undefined) throw new UsageError(`--${name} must be ${allowed.join(", ")}, not ${given}`);
  return found;
}

function numberOf(name: string, given: string): number {
  const number = Number(given);
  if (given === "" || !Number.isFinite(number) || number < 0) throw new UsageError(`--${name} must be a number, not ${given}`);
  return number;
}

async function runAndReport(options: FaultRunOptions, out: string): Promise<boolean> {
  await using undone = new AsyncDisposableStack();
  const owner = { after: (undo: () => unknown) => undone.defer(async () => void (await undo())) };
  let traces: Traces | undefined;
  const report = await runFaults(owner, options, { look: (given) => (traces = given) });
  console.log(`schedule: ${JSON.stringify(report.schedule)}`);
  console.log(reportText(report));
  if (!report.passed && traces !== undefined) keep(out, report, traces);
  return report.passed;
}

/** A report for people. */
function reportText({ passed, options, faults, verdict, problems }: FaultRunReport): string {
  const made = Object.entries(faults).map(([name, count]) => `  ${name}: ${count}`);
  const figures = Object.entries(verdict ?? {}).flatMap(([name, value]) => (typeof value === "number" ? `  ${name}: ${value}` : []));
  const wrong = [...problems, ...(verdict?.examples ?? [])].map((text) => `  ${text.slice(0, 2000)}`);
  return [
    `seed ${options.seed}: ${options.source} → ${options.pipeline} → ${options.sink}`,
    "faults:",
    ...made,
    "verdict:",
    ...figures,
    ...(wrong.length === 0 ? [] : ["wrong:", ...wrong]),
    passed ? "passed" : "FAILED",
  ].join("\n");
}

function keep(out: string, report: FaultRunReport, { daemon, logs }: Traces): void {
  mkdirSync(out, { recursive: true });
  writeFileSync(join(out, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
  writeFileSync(join(out, "millrace.log"), daemon());
  for (const [name, files] of logs) {
    for (const [index, file] of files.split(", ").entries())
      if (existsSync(file)) copyFileSync(file, join(out, `${name}-${index + 1}.log`));
  }
  console.log(`what it left: ${out}`);
}
