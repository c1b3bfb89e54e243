import type { ChildProcess } from "node:child_process";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

import { descendants, isAlive, isStopped, signalAll } from "../processes.ts";
import { until } from "../until.ts";
import { forget, guard } from "./watchdog.ts";

/** A broker or database that a test owns. Disposing ends it and removes its data; all methods may be called in any state. */
export interface Service extends AsyncDisposable {
  /** How clients reach it; stays the same over restarts. Its form is said where it is started. */
  readonly address: string;
  /** Where it writes what it has to say. */
  readonly logFile: string;
  /** Ends it at once, as a crash or a power cut of its machine would; its data stay. */
  kill(): Promise<void>;
  /** Ends it as an operator would; its data stay. */
  stop(): Promise<void>;
  /** Stops its processes without ending them: connections stay open and nothing answers. */
  freeze(): Promise<void>;
  /** Lets it go on after `freeze`. */
  thaw(): Promise<void>;
  /** Starts it, after stopping it if it runs, with the same port and data, and waits until it answers. */
  restart(): Promise<void>;
}

/** What to start, and how to know that it answers. */
export interface Launch {
  /** For messages: `Kafka`. */
  readonly name: string;
  readonly address: string;
  /** A folder of its own. Removed when disposed. */
  readonly dir: string;
  readonly command: string;
  readonly args: readonly string[];
  /** Run as this user; default: the one who runs the test. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
  /** Default SIGTERM. */
  readonly stopSignal?: NodeJS.Signals;
  /** True when it answers. Called again and again; an error counts as false. */
  readonly ready: () => Promise<boolean>;
}

const READY_WITHIN_MS = 90_000;
const STOP_WITHIN_MS = 20_000;

/** Starts a process that dies with this one, and waits until it answers. */
export async function startLocalProcess(launch: Launch): Promise<Service> {
  const process = new LocalProcess(launch);
  try {
    await process.restart();
  } catch (error) {
    await process[Symbol.asyncDispose]();
    throw error;
  }
  return process;
}

class LocalProcess implements Service {
  readonly #launch: Launch;
  readonly logFile: string;
  #child: ChildProcess | undefined;
  #frozen: readonly number[] = [];

  constructor(launch: Launch) {
    this.#launch = launch;
    this.logFile = join(launch.dir, "log");
  }

  get address(): string {
    return this.#launch.address;
  }

  async kill(): Promise<void> {
    const child = this.#child;
    if (child?.pid === undefined) return;
    // Children first found, then all ended together: a supervisor among them has no time to start new ones.
    const pids = [child.pid, ...descendants(child.pid)];
    signalAll(pids, "SIGKILL");
    await this.#ended(child);
    await until(`all processes of ${this.#launch.name} have ended`, () => pids.every((pid) => !isAlive(pid)));
    this.#forgetFrozen();
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined) return;
    await this.thaw();
    child.kill(this.#launch.stopSignal ?? "SIGTERM");
    const timer = setTimeout(() => void this.kill(), STOP_WITHIN_MS);
    await this.#ended(child);
    clearTimeout(timer);
  }

  async freeze(): Promise<void> {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    // The parent first, so that it starts no more children.
    signalAll([pid], "SIGSTOP");
    const children = descendants(pid);
    signalAll(children, "SIGSTOP");
    for (const child of children) guard(child);
    this.#frozen = [pid, ...children];
    await until(`${this.#launch.name} is frozen`, () => this.#frozen.every((one) => isStopped(one) || !isAlive(one)));
  }

  async thaw(): Promise<void> {
    signalAll(this.#frozen, "SIGCONT");
    this.#forgetFrozen();
  }

  async restart(): Promise<void> {
    await this.stop();
    const child = this.#spawn();
    const { name, ready } = this.#launch;
    const answers = async (): Promise<boolean> => this.#child !== child || (await ready());
    await until(`${name} answers`, answers, { timeout: READY_WITHIN_MS, every: 50 }).catch((error: unknown) => {
      throw new Error(`${name} did not start within ${READY_WITHIN_MS} ms.\n${this.#logTail()}`, { cause: error });
    });
    if (this.#child !== child) throw new Error(`${name} ended while it started (code ${child.exitCode}).\n${this.#logTail()}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // Only a process that cleans up after itself outside its folder says with which signal it does so quickly.
    if (this.#launch.stopSignal === undefined) await this.kill();
    else await this.stop();
    rmSync(this.#launch.dir, { recursive: true, force: true, maxRetries: 5 });
  }

  #spawn(): ChildProcess {
    const { command, args, dir, user, name } = this.#launch;
    const log = openSync(this.logFile, "a");
    const child = spawn(command, args, { cwd: dir, stdio: ["ignore", log, log], detached: true, ...user });
    closeSync(log);
    const gone = (error?: Error): void => {
      if (child.pid !== undefined) forget(child.pid);
      if (error !== undefined) process.emitWarning(`${name}: ${error.message}`);
      if (this.#child === child) this.#child = undefined;
    };
    child.once("error", gone);
    child.once("exit", () => gone());
    child.unref();
    if (child.pid !== undefined) guard(child.pid);
    this.#child = child;
    return child;
  }

  async #ended(child: ChildProcess): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.ref();
    await once(child, "exit");
  }

  #forgetFrozen(): void {
    for (const pid of this.#frozen.slice(1)) forget(pid);
    this.#frozen = [];
  }

  #logTail(): string {
    try {
      return readFileSync(this.logFile, "utf8").split("\n").slice(-30).join("\n");
    } catch {
      return "(it wrote no log)";
    }
  }
}
