/** Starts a supervisor on products and tasks of the test's own, and asks it how things are. */
import { type ChildProcess, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { fileURLToPath } from "node:url";

import type { Settings } from "../../src/config/settings.ts";
import { DEFAULT_MODEL_SETTINGS } from "../../src/model-stats.ts";
import type { TaskView } from "../../src/supervisor/model.ts";
import { descendants, isAlive, signalAll } from "../support/processes.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { until } from "../support/until.ts";

/** Config of a task of the product `probe`; see probe-product.ts. */
export interface ProbeConfig {
  readonly does?: string;
  /** The event that it does it at; default 3. */
  readonly at?: number;
  readonly count?: number;
  /** Milliseconds between events; default 20. */
  readonly every?: number;
  readonly out?: string;
}

export interface DaemonOptions {
  readonly tasks: Readonly<Record<string, ProbeConfig | undefined>>;
  /** Tasks of the product `asking`; see asking/. */
  readonly asking?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  /** Task stores besides the folder of `tasks`. */
  readonly stores?: Settings["tasks"];
  readonly settings?: Partial<Settings>;
  readonly until?: "signal" | "done";
  readonly flags?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
}

export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** Fast enough for tests. */
const fast = {
  worker: { heartbeat: 5000, startTimeout: 60_000, rssLimit: 1024 ** 3 },
  restart: { min: 200, max: 2000, resetAfter: 5000 },
  quarantine: { after: 2, min: 600_000, max: 600_000 },
} as const;

export class Daemon {
  readonly folder: string;
  readonly process: ChildProcess;
  readonly exited: Promise<Exit>;
  output = "";

  constructor(t: TestContext, options: DaemonOptions) {
    // Before the folder goes, since hooks run in this order and it can't go while somebody writes to it.
    t.after(async () => {
      signalAll([...descendants(this.pid), this.pid], "SIGKILL");
      await this.exited;
    });
    this.folder = tempFolder(t);
    mkdirSync(join(this.folder, "products/probe"), { recursive: true });
    mkdirSync(join(this.folder, "tasks"));
    cpSync(fileURLToPath(new URL("./probe-product.ts", import.meta.url)), join(this.folder, "products/probe/index.ts"));
    for (const [id, config] of Object.entries(options.tasks)) this.writeTask(id, config);
    if (options.asking !== undefined) cpSync(fileURLToPath(new URL("./asking", import.meta.url)), this.askingFolder, { recursive: true });
    for (const [id, config] of Object.entries(options.asking ?? {}))
      this.#write({ id, product: "asking", config: { out: this.outputOf(id), ...config } });
    const order = JSON.stringify({ settings: this.#settings(options), until: options.until ?? "signal" });
    const main = fileURLToPath(new URL("./daemon-main.ts", import.meta.url));
    this.process = spawn(process.execPath, [...(options.flags ?? []), main, order], {
      stdio: ["ignore", "pipe", "pipe"],
      env: { ...process.env, ...options.env },
    });
    for (const stream of [this.process.stdout, this.process.stderr])
      stream?.setEncoding("utf8").on("data", (text) => (this.output += text));
    this.exited = new Promise((resolve) => this.process.on("close", (code, signal) => resolve({ code, signal })));
  }

  get pid(): number {
    return this.process.pid as number;
  }

  #settings({ settings, stores = [] }: DaemonOptions): Settings {
    return {
      file: undefined,
      directory: this.folder,
      products: [join(this.folder, "products")],
      tasks: [{ files: join(this.folder, "tasks") }, ...stores],
      workers: 2,
      ...fast,
      admin: { host: "127.0.0.1", port: 0 },
      checkpoint: { interval: 10_000, store: { file: { path: join(this.folder, "checkpoints") } } },
      shutdown: { timeout: 10_000 },
      log: { level: "info", format: "json" },
      models: DEFAULT_MODEL_SETTINGS,
      tracing: undefined,
      kafka: { brokers: [], client: "platformatic", ssl: false, sasl: undefined },
      nats: { servers: [], credentials: undefined },
      redis: { url: "" },
      ...settings,
    };
  }

  /** Writes a task's file; undefined: one that its product refuses. */
  writeTask(id: string, config: ProbeConfig | undefined): void {
    this.#write({ id, product: "probe", config: config === undefined ? { every: "often" } : { out: this.outputOf(id), ...config } });
  }

  #write(task: { readonly id: string; readonly product: string; readonly config: object }): void {
    writeFileSync(join(this.folder, "tasks", `${task.id}.json`), JSON.stringify(task));
  }

  /** Where the product `asking` and its model are. */
  get askingFolder(): string {
    return join(this.folder, "products/asking");
  }

  outputOf(task: string): string {
    return join(this.folder, `${task}.out`);
  }

  /** The values that a task's sink got, in order. */
  results(task: string): number[] {
    const file = this.outputOf(task);
    return existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(0, -1).map(Number) : [];
  }

  /** The entries of its log. */
  logged(): Record<string, unknown>[] {
    return this.output
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line) => JSON.parse(line) as Record<string, unknown>);
  }

  async url(): Promise<string> {
    return await until(
      "the admin server listens",
      () => this.logged().find(({ url }) => typeof url === "string")?.["url"] as string | undefined,
    );
  }

  async get(path: string): Promise<Response> {
    return await fetch((await this.url()) + path);
  }

  async tasks(): Promise<Map<string, TaskView>> {
    const views = (await (await this.get("/api/tasks")).json()) as TaskView[];
    return new Map(views.map((view) => [view.id, view]));
  }

  /** Waits until a task is in a state, and gives it. */
  async state(task: string, state: string, timeout = 30_000): Promise<TaskView> {
    let last: TaskView | undefined;
    try {
      return await until(
        `task ${task} is ${state}`,
        async () => {
          last = (await this.tasks()).get(task);
          return last?.state === state ? last : undefined;
        },
        { timeout, every: 100 },
      );
    } catch (error) {
      throw new Error(`${String(error)}; it is ${JSON.stringify(last)}; output:\n${this.output}`, { cause: error });
    }
  }

  /** Process ids of the workers. */
  workers(): number[] {
    return descendants(this.pid).filter(isAlive);
  }
}
