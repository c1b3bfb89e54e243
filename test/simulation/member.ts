import { type CheckpointStore } from "../../src/checkpoint-store.ts";
import { SILENT, type OpenContext, type Sink, type Source } from "../../src/contracts.ts";
import { type LetterBox } from "../../src/dead-letter.ts";
import { InfrastructureError, messageOf, PlannedStop } from "../../src/errors.ts";
import { createInstance, type Instance, type InstanceEnd } from "../../src/pipeline/instance.ts";
import { buildPlan, LATE } from "./pipeline.ts";
import { Process } from "./process.ts";
import type { Shape } from "./shape.ts";
import type { World } from "./world.ts";

/** What a process is given to work with. */
export interface Surroundings {
  readonly shape: Shape;
  /** Undefined: it keeps no checkpoints. */
  readonly store: ((process: Process) => CheckpointStore) | undefined;
  readonly interval: number;
  source(process: Process): Source;
  sink(process: Process, where: "results" | "late"): Sink;
  letterBox(process: Process): LetterBox;
}

/** How soon an instance is made again that has ended with an error, in milliseconds. */
const RESTART = 500;

/** A place for a process in which an instance of the task runs, and runs again when it was lost. */
export class Member {
  readonly number: number;
  readonly #world: World;
  readonly #surroundings: Surroundings;
  process: Process | undefined;
  /** The instance's end, while the process lives; undefined while it runs. */
  end: InstanceEnd | undefined;
  instance: Instance | undefined;
  #stop = new AbortController();
  #abandon = new AbortController();
  #wanted: "running" | "stopped" = "stopped";

  constructor(number: number, world: World, surroundings: Surroundings) {
    this.number = number;
    this.#world = world;
    this.#surroundings = surroundings;
  }

  /** Starts a process, unless one lives. */
  start(skew = 0): void {
    if (this.process !== undefined && this.process.state !== "dead" && this.end === undefined) return;
    this.#wanted = "running";
    const process = new Process(this.#world, this.number, skew);
    this.process = process;
    this.#world.note(() => `member ${this.number} starts`);
    this.#run(process);
  }

  /** As planned: what was read is finished. */
  stop(): void {
    this.#wanted = "stopped";
    const stop = this.#stop;
    this.process?.deliver(() => {
      this.#world.note(() => `member ${this.number} is to stop`);
      stop.abort(new PlannedStop("the instance is to stop"));
    });
  }

  /** What is in flight is given up. */
  abandon(): void {
    this.stop();
    const abandon = this.#abandon;
    this.process?.deliver(() => abandon.abort(new PlannedStop("the work in flight is given up")));
  }

  /** Whether no process lives, or its instance has ended. */
  get isOver(): boolean {
    return this.process === undefined || this.process.state === "dead" || this.end !== undefined;
  }

  /** Whether it was asked to stop and has not yet. */
  get isStopping(): boolean {
    return this.#wanted === "stopped" && !this.isOver;
  }

  #run(process: Process): void {
    const { shape, store, interval, ...opening } = this.#surroundings;
    this.#stop = new AbortController();
    this.#abandon = new AbortController();
    this.end = undefined;
    const abandon = this.#abandon;
    const context: OpenContext = { ...contextOf(process), signal: abandon.signal };
    const instance = createInstance(buildPlan(shape, process.clock), context, {
      openSource: () => Promise.resolve(opening.source(process)),
      openSink: (spec) => Promise.resolve(opening.sink(process, spec === LATE ? "late" : "results")),
      openLetters: () => Promise.resolve(opening.letterBox(process)),
      checkpoints: store && { store: store(process), interval, misfit: "refuse" },
    });
    this.instance = instance;
    instance.run(this.#stop.signal).then(
      (end) => this.#ended(process, end),
      (error: unknown) => this.#failed(process, error),
    );
  }

  #ended(process: Process, end: InstanceEnd): void {
    if (process.state === "dead" || this.process !== process) return;
    this.#world.note(() => `member ${this.number} has ${end}`);
    this.end = end;
  }

  #failed(process: Process, error: unknown): void {
    if (process.state === "dead" || this.process !== process) return;
    if (error instanceof PlannedStop) {
      this.#ended(process, "stopped");
      return;
    }
    this.#world.note(() => `member ${this.number} fails: ${messageOf(error)}`);
    if (!(error instanceof InfrastructureError)) {
      this.#world.violate("no instance fails", `${messageOf(error)} ${error instanceof Error ? (error.stack ?? "") : ""}`);
    }
    this.end = "stopped";
    process.clock.after(RESTART, () => {
      if (this.#wanted === "running" && this.process === process) this.#run(process);
    });
  }
}

function contextOf(process: Process): Omit<OpenContext, "signal"> {
  return {
    task: { id: "task", product: "simulated", instance: process.number, instances: 3 },
    connections: {
      kafka: { brokers: [], client: "platformatic", ssl: false, sasl: undefined },
      nats: { servers: [], credentials: undefined },
      redis: { url: "" },
    },
    shared: { lease: () => Promise.reject(new Error("nothing is shared here")) },
    logger: SILENT,
    clock: process.clock,
    random: () => process.random.next(),
    mode: "run",
    waiting: () => undefined,
  };
}
