/** The programs that are compared: each reads one topic as a consumer group and writes another, until it is stopped. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

import { descendants, signalAll } from "../../test/support/processes.ts";
import { guard, scratchDir } from "../../test/support/services/watchdog.ts";
import { javaClassPath } from "./java-peer.ts";

const bench = fileURLToPath(new URL("../", import.meta.url));
const STOP_WITHIN = 15_000;

/** `change`: parse, change a field, write back. `count`: keyed windows of ten seconds. */
export type Job = "change" | "count";

export interface Assignment {
  readonly brokers: string;
  readonly job: Job;
  /** The consumer group; unique. */
  readonly group: string;
  readonly input: string;
  readonly output: string;
}

/** What is to do a job. */
export interface Variant {
  readonly name: string;
  start(assignment: Assignment): Promise<RunningWorker>;
}

/** By hand on the same client. */
export const handLoop: Variant = {
  name: "by hand",
  start: ({ brokers, group, input, output, job }) =>
    Promise.resolve(launch("hand", process.execPath, [join(bench, "peers/hand-loop.ts"), brokers, group, input, output, job])),
};

/**
 * The daemon itself, with as many instances as workers.
 * @param interval from one checkpoint to the next; default the daemon's
 */
export function millrace(workers: number, interval?: string): Variant {
  return {
    name: `millrace, ${workers} worker${workers === 1 ? "" : "s"}${interval === undefined ? "" : `, ${interval}`}`,
    start: (assignment) => Promise.resolve(startMillrace(workers, assignment, interval)),
  };
}

/** @param options passed on to the Java program as they are */
export function kafkaStreams(threads: number, options: readonly string[] = []): Variant {
  return {
    name: `Kafka Streams, ${threads} thread${threads === 1 ? "" : "s"}`,
    start: async ({ brokers, job, group, input, output }) => {
      const what = [`brokers=${brokers}`, `application=${group}`, `input=${input}`, `output=${output}`, `job=${job}`, `threads=${threads}`];
      const jvm = [
        "-Xmx1g",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-cp",
        await javaClassPath("kafka-streams"),
        "millrace.bench.Peer",
      ];
      return launch("streams", "java", [...jvm, ...what, `state=${newFolder("state")}`, ...options]);
    },
  };
}

function startMillrace(workers: number, { brokers, job, group, input, output }: Assignment, interval?: string): RunningWorker {
  const folder = newFolder("daemon");
  writeJson(folder, "tasks/bench.json", {
    id: "bench",
    product: job,
    instances: workers,
    config: { input: { kafka: { topic: input, group } }, output: { kafka: { topic: output } } },
  });
  // Where no run before it, with the same task and topic, has left its own.
  const checkpoint = { ...(interval === undefined ? {} : { interval }), store: { file: { path: join(folder, "checkpoints") } } };
  return startDaemon(folder, { workers, kafka: { brokers: brokers.split(",") }, checkpoint });
}

/** `millrace run` with the products of this folder and the tasks that are in `folder`/tasks. */
export function startDaemon(folder: string, settings: Readonly<Record<string, unknown>>): RunningWorker {
  const all = { products: [join(bench, "products")], tasks: [{ files: "tasks" }], admin: { port: 0 }, log: { level: "warn" }, ...settings };
  writeJson(folder, "millrace.json", all);
  const flags = process.env["MILLRACE_BENCH_NODE_FLAGS"]?.split(" ") ?? [];
  const main = join(bench, "../src/main.ts");
  return launch("millrace", process.execPath, [...flags, main, "run", "--config", join(folder, "millrace.json")]);
}

export function newFolder(name: string): string {
  return mkdtempSync(join(scratchDir(), `${name}-`));
}

export function writeJson(folder: string, name: string, content: unknown): void {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, JSON.stringify(content));
}

/** Starts a program, with its output in a file. */
export function launch(name: string, command: string, args: readonly string[]): RunningWorker {
  const logFile = join(newFolder(name), "log");
  const log = openSync(logFile, "a");
  const clean = Object.fromEntries(Object.entries(process.env).filter(([variable]) => !variable.startsWith("MILLRACE_")));
  const child = spawn(command, args, { stdio: ["ignore", log, log], env: clean });
  return new RunningWorker(child, logFile);
}

export class RunningWorker implements AsyncDisposable {
  readonly pid: number;
  readonly logFile: string;
  readonly #child: ChildProcess;

  constructor(child: ChildProcess, logFile: string) {
    if (child.pid === undefined) throw new Error(`${child.spawnfile} can't be started`);
    this.pid = child.pid;
    this.logFile = logFile;
    this.#child = child;
    guard(child.pid);
  }

  /** Why it is of no use any more; undefined while it runs. */
  get trouble(): string | undefined {
    if (this.#child.exitCode === null && this.#child.signalCode === null) return undefined;
    return `it ended with ${this.#child.exitCode ?? this.#child.signalCode}:\n${this.log()}`;
  }

  log(): string {
    return readFileSync(this.logFile, "utf8").slice(-4000);
  }

  /** Ends it as an operator would; what does not end is killed. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.trouble !== undefined) return;
    const exit = once(this.#child, "exit");
    const timer = setTimeout(() => signalAll([...descendants(this.pid), this.pid], "SIGKILL"), STOP_WITHIN);
    this.#child.kill("SIGTERM");
    await exit;
    clearTimeout(timer);
  }
}
