/** The command line of `dlq`. */
import { type Command, Option } from "commander";

import { withSettings } from "../settings-flags.ts";
import type { Surroundings } from "../surroundings.ts";
import type { LetterFlags } from "./flags.ts";
import type { ReplayFlags } from "./replay.ts";

type Work<Arguments extends unknown[]> = (...given: [...Arguments, surroundings: Surroundings]) => Promise<number>;
type Does = <Arguments extends unknown[]>(work: () => Promise<Work<Arguments>>) => (...given: [...Arguments, Command]) => Promise<void>;

/** What commands with examples and numbers need of the program. */
interface Form {
  readonly does: Does;
  readonly examples: (...lines: readonly string[]) => string;
  readonly positiveNumber: (text: string) => number;
}

/** Adds `dlq` and its commands. */
export function addLetters(program: Command, form: Form): void {
  const { does, examples } = form;
  const dlq = program.command("dlq").description("look at the dead letters of a task, replay them, or drop them");
  filtered(withTask(dlq.command("list")), form)
    .description("list the dead letters that are not resolved yet, oldest first")
    .option("--json", "each as a line of JSON, whole")
    .addHelpText(
      "after",
      examples("millrace dlq list --task pumps", "millrace dlq list --task pumps --step decode --since 1h --json | jq .text"),
    )
    .action(does<[LetterFlags & { readonly json?: true }]>(async () => (await import("./look.ts")).list));
  withTask(dlq.command("show"))
    .description("show one dead letter whole, its value as text or in hexadecimal digits")
    .argument("<letter-id>", "the letter")
    .addHelpText("after", examples("millrace dlq show --task pumps 4bf92f3577b34da6a3ce929d0e0e4736"))
    .action(does<[string, LetterFlags]>(async () => (await import("./look.ts")).show));
  filtered(withTask(dlq.command("replay")), form)
    .description(
      "send the originals through the task's pipeline again, in this process, or back to its source; what goes through is resolved",
    )
    .addOption(
      new Option("--to <place>", "task: through the pipeline, here; source: back to the topic or stream that the running task reads")
        .choices(["task", "source"])
        .default("task"),
    )
    .option("--subject <subject>", "with --to source and a JetStream source that reads several: the subject to write to")
    .option("--alone", "also where steps keep state, such as windows: they then see the replayed events only")
    .addHelpText("after", examples("millrace dlq replay --task pumps", "millrace dlq replay --task pumps --step decode --to source"))
    .action(does<[ReplayFlags]>(async () => (await import("./replay.ts")).replay));
  filtered(withTask(dlq.command("drop")), form)
    .description("take dead letters away for good")
    .option("--all", "all of them")
    .addHelpText("after", examples("millrace dlq drop --task pumps --until 30d", "millrace dlq drop --task pumps --all"))
    .action(does<[LetterFlags & { readonly all?: true }]>(async () => (await import("./look.ts")).drop));
}

function withTask(command: Command): Command {
  return withSettings(command)
    .requiredOption("--task <id>", "the task; or the task itself as JSON, or @FILE")
    .option("--sink <json>", "where its dead letters are, if that is not what its pipeline names, as JSON of a sink");
}

function filtered(command: Command, { positiveNumber }: Form): Command {
  return command
    .option("--step <name>", "only of that step, `source`, or a sink's kind")
    .option("--error <class>", "only with an error of that class")
    .option("--since <time>", "only that failed last at that time or later; or so long ago, as 2h")
    .option("--until <time>", "only that failed last at that time or earlier; or so long ago")
    .option("--id <letter-id>", "only that letter; repeatable", (id: string, before: readonly string[] | undefined) => [
      ...(before ?? []),
      id,
    ])
    .option("--limit <n>", "so many at most", positiveNumber);
}
