import { setTimeout as delay } from "node:timers/promises";

import { commandOf, groupMembers, signalAll } from "./processes.ts";
import { forget, guard } from "./services/watchdog.ts";

/** What ends by itself has this long to do so after its parent. */
const GRACE_MS = 3000;

/** All that a process started with `detached` and its children are, except those that began a group of their own. */
export class ProcessGroup implements Disposable {
  readonly #id: number;

  /** @param leader The process id of the first one; the group has the same. Ends with this process, also when this is killed. */
  constructor(leader: number) {
    this.#id = leader;
    guard(-leader);
  }

  /** Ends all at once. */
  kill(): void {
    signalAll([-this.#id], "SIGKILL");
  }

  /** Ends all that is still there after a short while, and gives their ids and commands. */
  async endRest(): Promise<string[]> {
    const deadline = performance.now() + GRACE_MS;
    while (groupMembers(this.#id).length > 0 && performance.now() < deadline) await delay(50);
    const rest = groupMembers(this.#id).map((pid) => `${pid} ${commandOf(pid)}`);
    this.kill();
    return rest;
  }

  [Symbol.dispose](): void {
    forget(-this.#id);
  }
}
