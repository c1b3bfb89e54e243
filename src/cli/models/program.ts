/** The command line of `models`. */
import type { Command } from "commander";

import { type SettingsFlags, withSettings } from "../settings-flags.ts";
import type { Surroundings } from "../surroundings.ts";
import type { ModelsFlags } from "./models.ts";

type Work<Arguments extends unknown[]> = (...given: [...Arguments, surroundings: Surroundings]) => Promise<number>;
type Does = <Arguments extends unknown[]>(work: () => Promise<Work<Arguments>>) => (...given: [...Arguments, Command]) => Promise<void>;

/** Adds `models` and its commands. */
export function addModels(
  program: Command,
  { does, examples }: { readonly does: Does; readonly examples: (...lines: readonly string[]) => string },
): void {
  const models = program.command("models").description("look at the models of the running daemon, or load one anew");
  withSettings(models.command("list"))
    .description("list the models of each worker with their versions and numbers")
    .option("--json", "as JSON, like /api/models")
    .addHelpText("after", examples("millrace models list"))
    .action(does<[ModelsFlags]>(async () => (await import("./models.ts")).list));
  withSettings(models.command("reload"))
    .description("load a model anew in every worker, beside the version that serves, which goes on where the new one can't be loaded")
    .argument("<model>", "its name")
    .addHelpText("after", examples("millrace models reload digits"))
    .action(does<[string, SettingsFlags]>(async () => (await import("./models.ts")).reload));
}
