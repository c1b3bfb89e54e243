import { runSupervisor } from "../supervisor/supervisor.ts";
import type { RunFlags } from "./program.ts";
import { settingsOf } from "./settings-flags.ts";
import type { Surroundings } from "./surroundings.ts";

/** `millrace run`. */
export async function run(flags: RunFlags, surroundings: Surroundings): Promise<number> {
  const { settings, secrets } = settingsOf(flags, surroundings);
  return await runSupervisor(settings, {
    secrets,
    misfit: flags.resetState === true ? "reset" : "refuse",
    until: flags.untilDone === true ? "done" : "signal",
    reload: async () => settingsOf(flags, surroundings),
  });
}
