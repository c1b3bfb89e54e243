import type { Clock } from "../../src/clock.ts";
import { Random } from "./random.ts";
import { NoAnswerError, REQUEST_TIMEOUT, type Service } from "./service.ts";
import type { World } from "./world.ts";

/** Dies at its n-th request, just before it is sent or just after. */
export interface DeathAtRequest {
  readonly request: number;
  readonly when: "before" | "after";
}

/**
 * A simulated process: all that reaches it or leaves it passes here. A dead one gets nothing and gives nothing any more; what it
 * has sent before may still arrive. A frozen one gets everything later.
 */
export class Process {
  readonly world: World;
  readonly number: number;
  readonly random: Random;
  state: "alive" | "frozen" | "dead" = "alive";
  #deathAt: DeathAtRequest | undefined;
  onDeath: () => void = () => undefined;
  /** Timers that wait, for whoever looks whether work is left behind. */
  timers = 0;
  /** Requests without an answer yet. */
  pending = 0;
  /** What its clock is ahead of the world's. */
  #skew: number;
  #requests = 0;
  readonly #waiting: (() => void)[] = [];

  constructor(world: World, number: number, skew: number) {
    this.world = world;
    this.number = number;
    this.random = new Random(number, `process ${world.random.next()}`);
    this.#skew = skew;
  }

  /** Its own clock. */
  readonly clock: Clock = {
    now: () => this.world.now + this.#skew,
    elapsed: () => this.world.now,
    after: (ms, callback) => {
      let waits = true;
      this.timers += 1;
      const end = () => {
        if (waits) this.timers -= 1;
        waits = false;
      };
      const cancel = this.world.after(ms, () =>
        this.deliver(() => {
          if (!waits) return;
          end();
          callback();
        }),
      );
      return () => {
        end();
        cancel();
      };
    },
  };

  /** Does something in the process: now, when it is awake again, or never. */
  deliver(what: () => void): void {
    if (this.state === "dead") return;
    if (this.state === "frozen") this.#waiting.push(what);
    else what();
  }

  die(): void {
    if (this.state === "dead") return;
    this.state = "dead";
    this.#waiting.length = 0;
    this.world.note(() => `process ${this.number} dies`);
    this.onDeath();
  }

  /** Lets it die at a request, counted from now; undefined: at none. */
  dieAt(death: DeathAtRequest | undefined): void {
    this.#deathAt = death && { ...death, request: this.#requests + death.request };
  }

  freeze(): void {
    if (this.state !== "alive") return;
    this.state = "frozen";
    this.world.note(() => `process ${this.number} freezes`);
  }

  thaw(): void {
    if (this.state !== "frozen") return;
    this.state = "alive";
    this.world.note(() => `process ${this.number} thaws`);
    for (const what of this.#waiting.splice(0)) this.world.after(0, () => this.deliver(what));
  }

  /** The process's clock is set. */
  setClock(skew: number): void {
    this.#skew = skew;
    this.world.note(() => `the clock of process ${this.number} is now ${skew} ms off`);
  }

  /**
   * Asks a service: the effect happens there after a while, its answer comes after another. Rejects with what the effect throws, and
   * with a NoAnswerError when the service is away or its answer is lost. Of a dead process it never settles.
   * @param effect done at once where the service is
   * @param part done in its place when the request breaks off in the middle
   */
  ask<R>(service: Service, what: string, effect: () => R, part?: () => void): Promise<R> {
    const { world } = this;
    if (this.state === "dead") return new Promise<never>(() => undefined);
    this.#requests += 1;
    const death = this.#deathAt?.request === this.#requests ? this.#deathAt : undefined;
    if (death?.when === "before") {
      this.die();
      return new Promise<never>(() => undefined);
    }
    this.pending += 1;
    const answered = new Promise<R>((resolve, reject) => {
      const answer = (ms: number, settle: () => void) =>
        void world.after(ms, () =>
          this.deliver(() => {
            this.pending -= 1;
            settle();
          }),
        );
      const fail = (why: string) => answer(REQUEST_TIMEOUT, () => reject(new NoAnswerError(`${service.name}: ${what}: ${why}`)));
      world.after(service.delay(), () => {
        if (service.away) return fail("it is away");
        const lost = service.lossy > 0 && world.random.chance(service.lossy);
        if (lost && part !== undefined && world.random.chance(0.5)) {
          part();
          return fail("it broke off");
        }
        try {
          const result = effect();
          world.note(() => `process ${this.number}: ${service.name}: ${what}${lost ? " (answer lost)" : ""}`);
          if (lost) fail("no answer");
          else answer(service.delay(), () => resolve(result));
        } catch (error) {
          world.note(() => `process ${this.number}: ${service.name}: ${what}: ${String(error)}`);
          answer(service.delay(), () => reject(error));
        }
      });
    });
    if (death?.when === "after") this.die();
    return answered;
  }
}
