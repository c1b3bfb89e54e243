/** The command line of `offsets`. */
import type { Command } from "commander";

import { withSettings } from "../settings-flags.ts";
import type { Surroundings } from "../surroundings.ts";
import type { OffsetFlags, SetFlags } from "./offsets.ts";

type Work<Arguments extends unknown[]> = (...given: [...Arguments, surroundings: Surroundings]) => Promise<number>;
type Does = <Arguments extends unknown[]>(work: () => Promise<Work<Arguments>>) => (...given: [...Arguments, Command]) => Promise<void>;

/** Adds `offsets` and its commands. */
export function addOffsets(
  program: Command,
  { does, examples }: { readonly does: Does; readonly examples: (...lines: readonly string[]) => string },
): void {
  const offsets = program.command("offsets").description("look at how far a task has read its topics or stream, or set it");
  const withTask = (command: Command) =>
    withSettings(command).requiredOption("--task <id>", "the task; or the task itself as JSON, or @FILE");
  withTask(offsets.command("show"))
    .description("show for each partition the position of the checkpoint, the committed one, where the log begins and ends, and the lag")
    .option("--json", "as JSON")
    .addHelpText("after", examples("millrace offsets show --task pumps"))
    .action(does<[OffsetFlags]>(async () => (await import("./offsets.ts")).show));
  withTask(offsets.command("set"))
    .description(
      "set where a task goes on: with state by a checkpoint without state, also while it runs; without state at the broker, while it is stopped",
    )
    .option(
      "--partition <name>",
      "of that partition, as readings/3; repeatable; default all",
      (name: string, before: readonly string[] | undefined) => [...(before ?? []), name],
    )
    .requiredOption("--to <place>", "earliest, latest, a position, or a time: the first record with that timestamp or a later one")
    .addHelpText(
      "after",
      examples(
        "millrace offsets set --task pumps --to earliest",
        "millrace offsets set --task pumps --partition readings/3 --to 2026-11-24T20:00:00Z",
      ),
    )
    .action(does<[SetFlags]>(async () => (await import("./offsets.ts")).set));
}
