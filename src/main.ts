/** The command line: `millrace`, or `node src/main.ts` in this repository. */
import { reportStrayError } from "./cli/failures.ts";
import { runCommandLine } from "./cli/program.ts";
import { hidingSecrets } from "./cli/surroundings.ts";

const surroundings = hidingSecrets({
  cwd: process.cwd(),
  env: process.env,
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
});

// Whoever read the output has gone, as with `millrace list | head -1`, or its terminal was closed: nobody is left to tell.
const GONE: ReadonlySet<string | undefined> = new Set(["EPIPE", "EIO"]);
let code = 0;
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (GONE.has(error.code)) process.exit(code);
  throw error;
});
process.stderr.on("error", () => undefined);
process.on("uncaughtException", (error) => process.exit(reportStrayError(error, surroundings)));

code = await runCommandLine(process.argv.slice(2), surroundings);
await Promise.all([process.stdout, process.stderr].map(written));
// Not `process.exitCode`: a product may have left timers or connections open, and must not keep the process from ending.
process.exit(code);

/** Settles when everything that was written has been handed on: to a pipe Node writes when its reader is ready, and would forget the rest. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    stream.write("", () => resolve());
  });
}
