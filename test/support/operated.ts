/** Millrace as an operator runs it: a folder with settings, tasks and products, and `millrace run --config …` on it. */
import type { ChildProcess } from "node:child_process";
import { cpSync, mkdirSync, writeFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import type { TaskView } from "../../src/supervisor/model.ts";
import { type Ended, millrace, type Place, startMillrace } from "./millrace.ts";
import { descendants, isAlive, signalAll } from "./processes.ts";
import { type Owner, tempFolder } from "./temp-folder.ts";
import { until } from "./until.ts";

/** What is in an operator's folder. */
export interface SiteOptions {
  /** Settings beside those that every test has: two workers, any free admin port, JSON lines. */
  readonly settings?: Readonly<Record<string, unknown>>;
  /** Their products and configs by their ids. */
  readonly tasks?: Readonly<Record<string, TaskOptions>>;
  /** Folders of products: their names in test/acceptance/products, or whole paths. */
  readonly products?: readonly string[];
}

export interface TaskOptions {
  readonly product: string;
  readonly instances?: number;
  readonly config: unknown;
}

const PRODUCTS = fileURLToPath(new URL("../acceptance/products/", import.meta.url));

/** A folder of settings, tasks and products, gone when the test ends. */
export class Site {
  readonly folder: string;
  readonly #t: Owner;

  constructor(t: Owner, { settings = {}, tasks = {}, products = ["relay"] }: SiteOptions) {
    this.#t = t;
    this.folder = tempFolder(t);
    mkdirSync(join(this.folder, "tasks"));
    mkdirSync(join(this.folder, "products"));
    for (const product of products)
      cpSync(resolve(PRODUCTS, product), join(this.folder, "products", basename(product)), { recursive: true });
    const all = {
      products: ["products"],
      tasks: [{ files: "tasks" }],
      workers: 2,
      admin: { port: 0 },
      log: { format: "json" },
      ...settings,
    };
    this.write("settings.yaml", JSON.stringify(all));
    for (const [id, task] of Object.entries(tasks)) this.writeTask(id, task);
  }

  write(name: string, text: string): void {
    mkdirSync(join(this.folder, name, ".."), { recursive: true });
    writeFileSync(join(this.folder, name), text);
  }

  writeTask(id: string, task: TaskOptions): void {
    this.write(`tasks/${id}.json`, JSON.stringify({ id, ...task }));
  }

  /** Starts `millrace run`; it is ended after the test, if it has not ended before. */
  start(options: RunOptions = {}): Running {
    return new Running(this.#t, this.folder, options);
  }

  /** Runs a command to its end. */
  async command(
    args: readonly string[],
    { settings = "settings.yaml", ...place }: Partial<Place> & { readonly settings?: string } = {},
  ): Promise<Ended> {
    return await millrace([...args, "--config", settings], { cwd: this.folder, ...place });
  }
}

export interface RunOptions {
  readonly flags?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly wrapper?: readonly string[];
  /** The program's main file, of another build; default that of this one. */
  readonly main?: string | undefined;
  /** When it is killed, in milliseconds; default ten minutes. */
  readonly patience?: number;
}

/** A running daemon. */
export class Running {
  readonly #process: ChildProcess;
  /** Its exit code, or the signal that ended it. */
  readonly exited: Promise<number | NodeJS.Signals | null>;
  /** All that it has written. */
  output = "";
  #url: string | undefined;

  constructor(t: Owner, cwd: string, { flags = [], patience = 600_000, ...place }: RunOptions) {
    const child = startMillrace(["run", "--config", "settings.yaml", ...flags], { cwd, patience, ...place });
    child.stdin.end();
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding("utf8").on("data", (text: string) => (this.output += text));
    this.exited = new Promise((resolve) => child.once("close", (code, signal) => resolve(code ?? signal)));
    this.#process = child;
    t.after(async () => {
      signalAll([...descendants(this.pid), this.pid], "SIGKILL");
      await this.exited;
    });
  }

  get pid(): number {
    return this.#process.pid as number;
  }

  signal(signal: NodeJS.Signals): void {
    this.#process.kill(signal);
  }

  /** Asks it to drain, and gives its exit code and how long it took in milliseconds. */
  async stop(): Promise<{ readonly code: number | NodeJS.Signals | null; readonly took: number }> {
    const begin = performance.now();
    this.signal("SIGTERM");
    const code = await this.exited;
    return { code, took: performance.now() - begin };
  }

  /** Process ids of its workers. */
  async workers(): Promise<readonly number[]> {
    const pids = (await this.tasks()).flatMap(({ instances }) => instances.map(({ pid }) => pid));
    return [...new Set(pids)].filter((pid) => pid !== undefined && isAlive(pid)) as number[];
  }

  async url(): Promise<string> {
    this.#url ??= await until("the admin server listens", () => /"url":"(http[^"]+)"/.exec(this.output)?.[1]);
    return this.#url;
  }

  /** What `/api/tasks` shows. */
  async tasks(): Promise<readonly TaskView[]> {
    return (await (await fetch(`${await this.url()}/api/tasks`)).json()) as TaskView[];
  }

  async task(id: string): Promise<TaskView | undefined> {
    return (await this.tasks()).find((task) => task.id === id);
  }

  /** The sum of a counter over all instances of all tasks, or of one. */
  async counted(counter: "in" | "out" | "late" | "failed", id?: string): Promise<number> {
    const instances = (await this.tasks()).filter((task) => id === undefined || task.id === id).flatMap((task) => task.instances);
    return instances.reduce((sum, instance) => sum + instance[counter], 0);
  }

  /** Waits until something holds. Should it never, or should the daemon end before, the error tells the state of all tasks and the end of the output. */
  async until<T>(what: string, condition: () => T | Promise<T>, timeout = 60_000, every = 100): Promise<Exclude<T, undefined | false>> {
    const over = this.exited.then((code) => {
      throw new Error(`it ended meanwhile, with ${code}`);
    });
    try {
      return await Promise.race([until(what, condition, { timeout, every }), over]);
    } catch (error) {
      const tasks = await this.tasks().catch(() => "no answer");
      const state = JSON.stringify(tasks).slice(0, 4000);
      throw new Error(`waited in vain until ${what}; tasks: ${state}; output: …${this.output.slice(-4000)}`, { cause: error });
    }
  }
}
