import { spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));

import { runCommandLine } from "../../src/cli/program.ts";
import { hidingSecrets } from "../../src/cli/surroundings.ts";

export interface Ended {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Place {
  readonly cwd: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Of Node itself, such as `--inspect-brk=0`. */
  readonly nodeFlags?: readonly string[];
  /** How long it may take until it is killed, in milliseconds; default a minute. */
  readonly patience?: number;
  /** A command with its arguments that becomes this one, such as `nice`. */
  readonly wrapper?: readonly string[];
  /** The program's main file, of another build; default that of this one. */
  readonly main?: string | undefined;
}

const PATIENCE = 60_000;

/** Starts `millrace` with these arguments, with no setting from the environment of the tests. */
export function startMillrace(
  args: readonly string[],
  { cwd, env, nodeFlags = [], patience = PATIENCE, wrapper = [], main = MAIN }: Place,
): ChildProcessWithoutNullStreams {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("MILLRACE_")));
  const [command = "", ...rest] = [...wrapper, process.execPath, ...nodeFlags, main, ...args];
  return spawn(command, rest, {
    cwd,
    env: { ...clean, ...env },
    timeout: patience,
    killSignal: "SIGKILL",
  });
}

/** Runs `millrace` to its end. */
export async function millrace(args: readonly string[], place: Place): Promise<Ended> {
  const child = startMillrace(args, place);
  child.stdin.end();
  const exit = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", resolve);
  });
  const [stdout, stderr, code] = await Promise.all([text(child.stdout), text(child.stderr), exit]);
  return { code, stdout, stderr };
}

/** Runs a command in this process: the same as `millrace`, but for what it writes past the command line, such as a sink's output. */
export async function millraceHere(args: readonly string[], { cwd, env = {} }: Place): Promise<Ended> {
  let [stdout, stderr] = ["", ""];
  const surroundings = hidingSecrets({
    cwd,
    env,
    out: (text) => (stdout += text),
    err: (text) => (stderr += text),
  });
  const code = await runCommandLine(args, surroundings);
  return { code, stdout, stderr };
}

/** Writes files with their folders. */
export function writeFiles(folder: string, files: Readonly<Record<string, string>>): void {
  for (const [name, content] of Object.entries(files)) {
    const path = join(folder, name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, content);
  }
}
