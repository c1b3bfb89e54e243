/** The flags that every command with settings has. */
import type { Command } from "commander";

import { DEFAULT_FILE, loadSettings } from "../config/load.ts";
import type { LoadedSettings } from "../config/settings.ts";
import type { Surroundings } from "./surroundings.ts";

/** The parsed flags. */
export interface SettingsFlags {
  readonly config?: string;
  readonly set?: readonly string[];
}

export function withSettings(command: Command): Command {
  return command
    .option("-c, --config <file>", `settings file (default: ${DEFAULT_FILE}, if there is one)`)
    .option(
      "-s, --set <name=value>",
      "set one setting, above file and environment; repeatable; lists with commas or as JSON",
      (text: string, before: readonly string[] | undefined) => [...(before ?? []), text],
    );
}

/**
 * Loads the settings that the flags name, and tells what is doubtful about them.
 * @throws {ConfigError} naming all that is wrong
 */
export function settingsOf(flags: SettingsFlags, surroundings: Surroundings): LoadedSettings {
  const loaded = loadSettings({ file: flags.config, sets: flags.set ?? [], env: surroundings.env, cwd: surroundings.cwd });
  surroundings.hide(loaded.secrets);
  for (const { where, what } of loaded.warnings) surroundings.err(`millrace: warning: ${where}: ${what}\n`);
  return loaded;
}
