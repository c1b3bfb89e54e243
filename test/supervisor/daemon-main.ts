/** A supervisor in a process of its own, for tests that send it signals. The last argument: `{ settings, until }` as JSON. */
import type { Settings } from "../../src/config/settings.ts";
import { ConfigError, messageOf } from "../../src/errors.ts";
import { runSupervisor } from "../../src/supervisor/supervisor.ts";

interface Order {
  readonly settings: Settings;
  readonly until: "signal" | "done";
}

const { settings, until } = JSON.parse(process.argv.at(-1) ?? "") as Order;
try {
  process.exitCode = await runSupervisor(settings, { secrets: ["hunter22"], until });
} catch (error) {
  process.stderr.write(`${messageOf(error)}\n`);
  process.exitCode = error instanceof ConfigError ? 78 : 1;
}
