/** The supervisor of a fault run, over its restarts. */
import assert from "node:assert/strict";

import type { Running, RunOptions, Site } from "../support/operated.ts";
import { descendants, isAlive } from "../support/processes.ts";
import { until } from "../support/until.ts";

/** Workers whose supervisor is gone have this long to end. In milliseconds. */
const ORPHANS_END_WITHIN = 15_000;

/** Starts, kills and restarts the supervisor of a site. */
export class Daemon {
  readonly #site: Site;
  readonly #options: RunOptions;
  #running: Running;
  #second: Running | undefined;
  readonly #outputs: Running[] = [];

  constructor(site: Site, options: RunOptions) {
    this.#site = site;
    this.#options = options;
    this.#running = this.#started();
  }

  /** The supervisor that runs now, or ran last. */
  get running(): Running {
    return this.#running;
  }

  /** What all of them have written, in the order of their starts. */
  get output(): string {
    return this.#outputs.map(({ pid, output }) => `# process ${pid}\n${output}`).join("\n");
  }

  /** A worker by a number from 0 to 1; undefined when there is none. */
  async worker(choice: number): Promise<number | undefined> {
    const workers = await this.#running.workers();
    return workers[Math.floor(choice * workers.length)];
  }

  /** Kills the supervisor alone. Its workers must end by themselves. */
  async kill(): Promise<void> {
    const workers = descendants(this.#running.pid);
    this.#running.signal("SIGKILL");
    await this.#running.exited;
    await until("the workers of a killed supervisor have ended", () => workers.every((pid) => !isAlive(pid)), {
      timeout: ORPHANS_END_WITHIN,
    });
  }

  /** Ends it as an operator would. */
  async stop(): Promise<void> {
    // Before it listens to signals, one ends it as any process.
    await this.#running.url();
    const { code } = await this.#running.stop();
    assert.equal(code, 0, `a planned stop ended with ${code}: …${this.#running.output.slice(-3000)}`);
  }

  start(): void {
    this.#running = this.#started();
  }

  /** Lets another supervisor of the same tasks join. */
  join(): void {
    this.#second = this.#started();
  }

  /** Ends it. */
  async leave(): Promise<void> {
    const second = this.#second;
    this.#second = undefined;
    if (second === undefined) return;
    await second.url();
    const { code } = await second.stop();
    assert.equal(code, 0, `the second supervisor's planned stop ended with ${code}: …${second.output.slice(-3000)}`);
  }

  #started(): Running {
    const running = this.#site.start(this.#options);
    this.#outputs.push(running);
    return running;
  }
}
