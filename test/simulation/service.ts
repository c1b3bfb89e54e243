import { InfrastructureError } from "../../src/errors.ts";
import type { World } from "./world.ts";

/** No answer came: what was asked for may be done, or not. */
export class NoAnswerError extends InfrastructureError {
  override readonly name = "NoAnswerError";
}

/** Something that all processes use over the network: the broker, the checkpoint store, the sink's system. */
export class Service {
  readonly name: string;
  readonly world: World;
  /** Milliseconds from a process to it, at most; the same back. */
  readonly latency: number;
  /** It takes nothing. */
  away = false;
  /** The part of its answers that are lost, and with that chance a request is done in part only, where it can be. */
  lossy = 0;

  constructor(name: string, world: World, latency: number) {
    this.name = name;
    this.world = world;
    this.latency = latency;
  }

  delay(): number {
    return this.latency === 0 ? 0 : this.world.random.int(0, this.latency);
  }
}

/** How long a process waits for an answer, in milliseconds. */
export const REQUEST_TIMEOUT = 1500;
