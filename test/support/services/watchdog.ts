/**
 * Nothing that a test starts may outlive it, not even when the test process is killed. A small shell waits at the other end
 * of a pipe: when the pipe closes, however that came about, it ends the processes that it was told of and removes their files.
 */
import { spawn } from "node:child_process";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Writable } from "node:stream";

/** SIGINT first: PostgreSQL then frees its System V shared memory, which would outlive a SIGKILL. A stopped process needs SIGCONT to hear it. */
const SCRIPT = `
pids=
while read -r verb pid; do
  case $verb in
    guard) pids="$pids $pid" ;;
    forget) rest=; for p in $pids; do [ "$p" = "$pid" ] || rest="$rest $p"; done; pids=$rest ;;
  esac
done
for p in $pids; do kill -s INT -- "$p"; kill -s CONT -- "$p"; done 2>/dev/null
for turn in 1 2 3 4 5 6 7 8 9 10; do
  alive=; for p in $pids; do kill -s 0 -- "$p" && alive=1; done 2>/dev/null
  [ -z "$alive" ] && break
  sleep 0.2
done
for p in $pids; do kill -s KILL -- "$p"; done 2>/dev/null
for script in "$1"/at-end-*; do [ -f "$script" ] && sh "$script"; done
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
`;

interface Watchdog {
  readonly dir: string;
  readonly pipe: Writable;
}

let started: Watchdog | undefined;

function watchdog(): Watchdog {
  if (started !== undefined) return started;
  const dir = mkdtempSync(join(tmpdir(), "millrace-test-"));
  // PostgreSQL refuses to run as root, and its user must be able to reach its folder in here.
  chmodSync(dir, 0o755);
  // A session of its own: Ctrl-C in a terminal must end the test, and leave the one that cleans up.
  const shell = spawn("sh", ["-c", SCRIPT, "watchdog", dir], { stdio: ["pipe", "ignore", "ignore"], detached: true });
  shell.unref();
  const pipe = shell.stdin;
  pipe.on("error", () => {});
  if ("unref" in pipe && typeof pipe.unref === "function") pipe.unref();
  started = { dir, pipe };
  return started;
}

/** The folder of this process for the data of what it starts. It is removed when this process ends. */
export function scratchDir(): string {
  return watchdog().dir;
}

/** From here on the process (or, by a negative number, its process group) is ended when this one ends. */
export function guard(pid: number): void {
  watchdog().pipe.write(`guard ${pid}\n`);
}

/** The process has ended: its id may soon be another's. */
export function forget(pid: number): void {
  watchdog().pipe.write(`forget ${pid}\n`);
}

/** A new folder for one service in there. */
export function newServiceDir(name: string): string {
  const dir = mkdtempSync(join(scratchDir(), `${name}-`));
  chmodSync(dir, 0o755);
  return dir;
}

let scripts = 0;

/** Has a command run when this process has ended, for what is no process of ours. Gives a function that takes it back. */
export function atEnd(command: readonly string[]): () => void {
  const file = join(scratchDir(), `at-end-${++scripts}`);
  writeFileSync(file, command.map((word) => `'${word.replaceAll("'", "'\\''")}'`).join(" "));
  return () => rmSync(file, { force: true });
}
