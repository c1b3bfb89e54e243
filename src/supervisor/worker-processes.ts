import { type ChildProcess, fork } from "node:child_process";
import type { Readable } from "node:stream";
import { fileURLToPath } from "node:url";

import type { Settings } from "../config/settings.ts";
import { environmentWithoutInspector, withoutInspector } from "../inspector-flags.ts";
import { type LogOptions } from "../observability/logs.ts";
import type { FromWorker, LastWords, ToWorker, WorkerId } from "../worker/messages.ts";
import { starvedTime } from "../worker/watchdog.ts";
import type { Exit } from "./deaths.ts";
import type { Processes } from "./fleet.ts";

/** What the processes tell of themselves. */
export interface ProcessListener {
  message(worker: WorkerId, message: FromWorker): void;
  words(worker: WorkerId, words: LastWords): void;
  gone(worker: WorkerId, exit: Exit): void;
}

/** More last words than this are not kept. Characters. */
const MOST_WORDS = 64 * 1024;
/** How long the last words of a process that is gone are waited for. Milliseconds. */
const WORDS_TIMEOUT = 200;

/** Real worker processes. */
export class WorkerProcesses implements Processes {
  readonly #settings: Settings;
  readonly #log: LogOptions;
  readonly #listener: ProcessListener;
  readonly #misfit: "refuse" | "reset";
  readonly #children = new Map<WorkerId, ChildProcess>();

  /** @param misfit what becomes of saved state that does not fit its pipeline any more */
  constructor(settings: Settings, log: LogOptions, listener: ProcessListener, misfit: "refuse" | "reset") {
    this.#settings = settings;
    this.#misfit = misfit;
    this.#log = log;
    this.#listener = listener;
  }

  fork(worker: { readonly id: WorkerId; readonly number: number }): number | undefined {
    const { id } = worker;
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const child = fork(fileURLToPath(new URL(`../worker/main.${extension}`, import.meta.url)), {
      execArgv: withoutInspector(process.execArgv),
      env: environmentWithoutInspector(),
      serialization: "advanced",
      stdio: ["ignore", "inherit", "inherit", "ipc", "pipe"],
    });
    this.#children.set(id, child);
    // Without a free file descriptor there are no pipes: `error` tells.
    const pipes = child.stdio as ChildProcess["stdio"] | undefined;
    const wordsEnd = pipes === undefined ? Promise.resolve() : this.#hearWords(id, pipes[4] as Readable);
    child.on("message", (message) => this.#listener.message(id, message as FromWorker));
    // A message that could not be sent: the process is going, which `exit` tells.
    child.on("error", (error) => {
      if (child.pid === undefined) this.#gone(id, { code: null, signal: null, refused: error.message });
    });
    child.on("exit", (code, signal) => {
      void wordsEnd.then(() => this.#gone(id, { code, signal }));
    });
    this.send(id, this.#begin(worker.number));
    return child.pid;
  }

  send(worker: WorkerId, message: ToWorker): void {
    const child = this.#children.get(worker);
    if (child?.connected === true) child.send(message, () => undefined);
  }

  kill(worker: WorkerId): void {
    this.#children.get(worker)?.kill("SIGKILL");
  }

  /** Ends all at once. */
  killAll(): void {
    for (const child of this.#children.values()) child.kill("SIGKILL");
  }

  starved(worker: WorkerId): number | undefined {
    const pid = this.#children.get(worker)?.pid;
    return pid === undefined ? undefined : starvedTime(pid);
  }

  #gone(id: WorkerId, exit: Exit): void {
    if (this.#children.delete(id)) this.#listener.gone(id, exit);
  }

  #begin(number: number): ToWorker {
    const { kafka, nats, redis, worker, directory, checkpoint, models, tracing } = this.#settings;
    const connections = { kafka, nats, redis };
    const { heartbeat, rssLimit } = worker;
    const places = { connections, checkpoint, misfit: this.#misfit, directory };
    return { type: "begin", number, supervisor: process.pid, ...places, models, tracing, log: this.#log, heartbeat, rssLimit };
  }

  /** Settles when nothing more is to come, or soon after the process has ended. */
  async #hearWords(id: WorkerId, pipe: Readable): Promise<void> {
    let text = "";
    const { promise, resolve } = Promise.withResolvers<void>();
    pipe.setEncoding("utf8");
    pipe.on("data", (chunk: string) => {
      text = (text + chunk).slice(-MOST_WORDS);
      const lines = text.split("\n");
      text = lines.pop() ?? "";
      for (const line of lines) {
        const words = parseWords(line);
        if (words !== undefined) this.#listener.words(id, words);
      }
    });
    pipe.on("close", resolve);
    pipe.on("error", () => resolve());
    // A process that the worker has left behind may keep the pipe open.
    this.#children.get(id)?.on("exit", () => setTimeout(resolve, WORDS_TIMEOUT).unref());
    await promise;
    pipe.destroy();
  }
}

function parseWords(line: string): LastWords | undefined {
  try {
    const words = JSON.parse(line) as LastWords | null;
    return typeof words?.what === "string" ? words : undefined;
  } catch {
    return undefined;
  }
}
