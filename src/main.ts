/** The command line: `millrace`, or `node src/main.ts` in this repository. */
import { reportStrayError } from "./cli/failures.ts";
import { runCommandLine } from "./cli/program.ts";
import type { Surroundings } from "./cli/surroundings.ts";

const surroundings: Surroundings = {
  cwd: process.cwd(),
  env: process.env,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
};

// Whoever read the output has gone, as with `millrace list | head -1`: nobody is left to tell.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  throw error;
});
process.on("uncaughtException", (error) => process.exit(reportStrayError(error, surroundings)));

const code = await runCommandLine(process.argv.slice(2), surroundings);
// Not `process.exitCode`: a product may have left timers or connections open, and must not keep the process from ending.
process.exit(code);
