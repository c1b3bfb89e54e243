/** The command line of `checkpoints`. */
import type { Command } from "commander";

import { withSettings } from "../settings-flags.ts";
import type { Surroundings } from "../surroundings.ts";
import type { ListFlags } from "./list.ts";
import type { ResetFlags } from "./reset.ts";
import type { ShowFlags } from "./show.ts";
import type { ExportFlags, ImportFlags } from "./transfer.ts";

type Work<Arguments extends unknown[]> = (...given: [...Arguments, surroundings: Surroundings]) => Promise<number>;
type Does = <Arguments extends unknown[]>(work: () => Promise<Work<Arguments>>) => (...given: [...Arguments, Command]) => Promise<void>;

/** Adds `checkpoints` and its commands. */
export function addCheckpoints(
  program: Command,
  { does, examples }: { readonly does: Does; readonly examples: (...lines: readonly string[]) => string },
): void {
  const checkpoints = program
    .command("checkpoints")
    .description("look at the saved state of tasks, throw it away, or carry it elsewhere; also while they run");
  withSettings(checkpoints.command("list"))
    .description("list the checkpoints in the store, and whether they fit the pipelines of their tasks")
    .option("--task <id>", "only of that task")
    .option("--json", "as JSON")
    .addHelpText("after", examples("millrace checkpoints list", "millrace checkpoints list --task pumps --json | jq '.[].position'"))
    .action(does<[ListFlags]>(async () => (await import("./list.ts")).list));
  withSettings(checkpoints.command("show"))
    .description("tell all of a task's checkpoints: positions, who made them and when, and the state of each step")
    .argument("<task-id>", "the task")
    .argument("[partition]", "only of that partition")
    .addHelpText("after", examples("millrace checkpoints show pumps", "millrace checkpoints show pumps readings/3"))
    .action(does<[string, string | undefined, ShowFlags]>(async () => (await import("./show.ts")).show));
  withSettings(checkpoints.command("reset"))
    .description(
      "throw saved state away, so that it is made anew from where the input still has it; a running instance then begins again from there",
    )
    .requiredOption("--task <id>", "the task; or the task itself as JSON, or @FILE")
    .option("--partition <name>", "of that partition; repeatable", (name: string, before: readonly string[] | undefined) => [
      ...(before ?? []),
      name,
    ])
    .option("--all", "of all its partitions")
    .addHelpText(
      "after",
      examples("millrace checkpoints reset --task pumps --all", "millrace checkpoints reset --task pumps --partition readings/3"),
    )
    .action(does<[ResetFlags]>(async () => (await import("./reset.ts")).reset));
  withSettings(checkpoints.command("export"))
    .description("write a task's checkpoints into one file that any store can take, or to stdout")
    .argument("<task-id>", "the task")
    .argument("[file]", "the file to make; - or none for stdout")
    .option("--partition <name>", "of that partition; repeatable", (name: string, before: readonly string[] | undefined) => [
      ...(before ?? []),
      name,
    ])
    .addHelpText(
      "after",
      examples("millrace checkpoints export pumps pumps.checkpoints", "millrace checkpoints export pumps | zstd > pumps.zst"),
    )
    .action(does<[string, string | undefined, ExportFlags]>(async () => (await import("./transfer.ts")).exportAll));
  withSettings(checkpoints.command("import"))
    .description("put exported checkpoints in the place of those in the store; a running instance then begins again from them")
    .argument("<task-id>", "the task that they were exported of")
    .argument("<file>", "the file")
    .option("--as <task-id>", "take them for another task")
    .addHelpText(
      "after",
      examples(
        "millrace checkpoints import pumps pumps.checkpoints",
        "millrace checkpoints import pumps pumps.checkpoints --as pumps-test",
      ),
    )
    .action(does<[string, string, ImportFlags]>(async () => (await import("./transfer.ts")).importAll));
}
