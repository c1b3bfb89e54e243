import type { Clock } from "../clock.ts";
import { COMMIT_INTERVAL } from "../connections.ts";
import { milliseconds } from "../duration.ts";
import type { AssignedPartition } from "./assigned-partition.ts";

const INTERVAL = milliseconds(COMMIT_INTERVAL, "commit interval");

/**
 * Writes the positions of partitions together, about once a second, one write after the other: an earlier position must
 * never arrive behind a later one.
 */
export class CommitLedger {
  readonly #write: (partitions: readonly AssignedPartition[]) => Promise<void>;
  readonly #clock: Clock;
  readonly #dirty = new Set<AssignedPartition>();
  #cancel: (() => void) | undefined;
  #writing: Promise<void> | undefined;

  /** @param write writes their `uncommitted` positions and marks them; throws when that has to be tried again */
  constructor(clock: Clock, write: (partitions: readonly AssignedPartition[]) => Promise<void>) {
    this.#clock = clock;
    this.#write = write;
  }

  /** A position waits; it is written within the interval. */
  note(partition: AssignedPartition): void {
    this.#dirty.add(partition);
    this.#cancel ??= this.#clock.after(INTERVAL, () => {
      this.#cancel = undefined;
      // What fails stays in the ledger and is tried again; whoever writes reports it.
      this.flush().catch(() => {
        for (const waiting of this.#dirty) this.note(waiting);
      });
    });
  }

  /** Writes everything that waits. @throws when it could not be written and still waits */
  async flush(): Promise<void> {
    // A write that is under way may have begun before the last position was noted.
    await this.#writing?.catch(() => {});
    this.#writing ??= this.#flush().finally(() => {
      this.#writing = undefined;
    });
    await this.#writing;
  }

  async #flush(): Promise<void> {
    const partitions = [...this.#dirty].filter((partition) => partition.uncommitted !== undefined);
    if (partitions.length > 0) await this.#write(partitions);
    for (const partition of this.#dirty) if (partition.uncommitted === undefined) this.#dirty.delete(partition);
  }

  /** Forgets what was not written. */
  close(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#dirty.clear();
  }
}
