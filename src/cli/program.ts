import { Command, CommanderError, InvalidArgumentError, Option } from "commander";

import { VERSION } from "../version.ts";
import { addCheckpoints } from "./checkpoints/program.ts";
import { EXIT } from "./exit-codes.ts";
import { reportFailure } from "./failures.ts";
import { addLetters } from "./letters/program.ts";
import { addModels } from "./models/program.ts";
import { addOffsets } from "./offsets/program.ts";
import { type SettingsFlags, withSettings } from "./settings-flags.ts";
import type { Surroundings } from "./surroundings.ts";

/** A command's work, with its arguments and flags; gives the exit code. */
type Work<Arguments extends unknown[]> = (...given: [...Arguments, surroundings: Surroundings]) => Promise<number>;

/**
 * Parses a command line and does what it says. Never throws: what goes wrong is told to people.
 * @param args without the names of Node and the script
 * @returns the exit code
 */
export async function runCommandLine(args: readonly string[], surroundings: Surroundings): Promise<number> {
  let code: number = EXIT.done;
  const program = createProgram(surroundings, (exit) => {
    code = exit;
  });
  try {
    await program.parseAsync(args, { from: "user" });
    return code;
  } catch (error) {
    // Commander has told already what is wrong; help and version end with 0.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    return reportFailure(error, surroundings);
  }
}

function createProgram(surroundings: Surroundings, exit: (code: number) => void): Command {
  const program = new Command("millrace")
    .description("Runs inference over streams: one pipeline per task, many in a worker, many workers under one supervisor.")
    .version(VERSION, "-V, --version")
    .configureOutput({
      writeOut: surroundings.out,
      writeErr: surroundings.err,
      outputError: (text, write) => write(`millrace: ${text.replace(/^error: /, "")}`),
    })
    .exitOverride()
    .showHelpAfterError("(`millrace help COMMAND` tells more)");
  const does =
    <Arguments extends unknown[]>(work: () => Promise<Work<Arguments>>) =>
    async (...given: [...Arguments, Command]): Promise<void> => {
      const run = await work();
      exit(await run(...(given.slice(0, -1) as Arguments), surroundings));
    };
  addRunning(program, does);
  addLooking(program, does);
  addLetters(program, { does, examples, positiveNumber });
  addCheckpoints(program, { does, examples });
  addOffsets(program, { does, examples });
  addModels(program, { does, examples });
  addNew(program, does);
  return program.addHelpText("after", examples("millrace new my-product", "millrace validate", "millrace run"));
}

type Does = <Arguments extends unknown[]>(work: () => Promise<Work<Arguments>>) => (...given: [...Arguments, Command]) => Promise<void>;

function addRunning(program: Command, does: Does): void {
  withSettings(program.command("run"))
    .description("run all tasks in worker processes until SIGTERM or SIGINT, which drain; SIGHUP reads products and tasks anew")
    .option("--until-done", "end when every task with a finite input has finished")
    .option(
      "--reset-state",
      "make saved state anew where it does not fit its pipeline any more or can't be read, instead of refusing to run",
    )
    .addHelpText(
      "after",
      examples(
        "millrace run",
        "millrace run --until-done --config demo.yaml",
        "millrace run --set workers=2 --set kafka.brokers=a:9092,b:9092",
      ),
    )
    .action(does<[RunFlags]>(async () => (await import("./run.ts")).run));
  withSettings(program.command("debug"))
    .description("run one task in this process and thread, where breakpoints in its product work; a running group is not disturbed")
    .argument("[task-id]", "the task; not needed with --task")
    .option("--input <file>", "read this file in the place of the task's source")
    .addOption(new Option("--format <format>", "of the input file (default: by its name)").choices(["ndjson", "json", "csv", "text"]))
    .option("--output <file>", "write to this file in the place of the task's sinks; - for stdout")
    .option("--limit <n>", "stop after so many events, as if the input ended there", positiveNumber)
    .option("--letter <letter-id>", "read that dead letter of the task in the place of its source; nothing is written or resolved")
    .option("--dead-letters", "read all its dead letters in the place of its source; nothing is written or resolved")
    .option("--sink <json>", "with those: where they are, if that is not what the pipeline names, as JSON of a sink")
    .option("--task <json>", "a task that needs to be in no store, as JSON, or @FILE")
    .addHelpText(
      "after",
      examples(
        "millrace debug pumps --limit 10",
        "millrace debug pumps --input readings.ndjson --output -",
        "millrace debug pumps --letter 4bf92f3577b34da6a3ce929d0e0e4736",
        `millrace debug --task '{"id":"try","product":"example","config":{}}'`,
        "node --inspect-brk node_modules/millrace/bin/millrace.js debug pumps",
      ),
    )
    .action(does<[string | undefined, DebugFlags]>(async () => (await import("./debug.ts")).debug));
}

function addLooking(program: Command, does: Does): void {
  withSettings(program.command("validate"))
    .description("check settings, products and tasks, and name all that is wrong; exit code 78 if anything is")
    .addHelpText("after", examples("millrace validate", "millrace validate --config /etc/millrace/millrace.yaml"))
    .action(does<[SettingsFlags]>(async () => (await import("./validate.ts")).validate));
  withSettings(program.command("list"))
    .description("list the tasks with their states, from the running daemon, else as they are in their stores")
    .option("--json", "as JSON, like /api/tasks")
    .addHelpText("after", examples("millrace list", "millrace list --json | jq '.[] | select(.state == \"failed\")'"))
    .action(does<[SettingsFlags & { readonly json?: true }]>(async () => (await import("./list.ts")).list));
  withSettings(program.command("graph"))
    .description("draw the pipeline of a task, as text for Mermaid or Graphviz")
    .argument("<task-id>", "the task")
    .addOption(new Option("--format <format>", "how").choices(["mermaid", "dot"]).default("mermaid"))
    .addHelpText("after", examples("millrace graph pumps", "millrace graph pumps --format dot | dot -Tsvg > pumps.svg"))
    .action(does<[string, GraphFlags]>(async () => (await import("./graph.ts")).graph));
  withSettings(program.command("config"))
    .description("show the settings in effect and where each comes from; never a secret")
    .option("--json", "as JSON")
    .option("--explain", "tell what each setting is for, with its variable, limits and default")
    .addHelpText("after", examples("millrace config", "millrace config --explain", "MILLRACE_WORKERS=4 millrace config --json"))
    .action(does<[ConfigFlags]>(async () => (await import("./config.ts")).config));
}

function addNew(program: Command, does: Does): void {
  withSettings(program.command("new"))
    .description("make a product: a folder with a pipeline, a test that passes, and a task to begin with")
    .argument("<product>", "its name: small letters, digits and -")
    .addHelpText("after", examples("millrace new pump-anomaly"))
    .action(does<[string, SettingsFlags]>(async () => (await import("./new.ts")).newProduct));
}

/** The flags of `run`. */
export interface RunFlags extends SettingsFlags {
  readonly untilDone?: true;
  readonly resetState?: true;
}

/** The flags of `debug`. */
export interface DebugFlags extends SettingsFlags {
  readonly input?: string;
  readonly format?: "ndjson" | "json" | "csv" | "text";
  readonly output?: string;
  readonly limit?: number;
  readonly task?: string;
  readonly letter?: string;
  readonly deadLetters?: true;
  readonly sink?: string;
}

/** The flags of `config`. */
export interface ConfigFlags extends SettingsFlags {
  readonly json?: true;
  readonly explain?: true;
}

/** The flags of `graph`. */
export interface GraphFlags extends SettingsFlags {
  readonly format: "mermaid" | "dot";
}

function positiveNumber(text: string): number {
  const number = Number(text);
  if (!Number.isSafeInteger(number) || number < 1) throw new InvalidArgumentError("It must be a whole number, at least 1.");
  return number;
}

function examples(...lines: readonly string[]): string {
  return `\nExamples:\n${lines.map((line) => `  $ ${line}\n`).join("")}`;
}
