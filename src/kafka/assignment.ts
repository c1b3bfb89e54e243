import { type Clock, sleep } from "../clock.ts";
import { AssignedPartition, type PartitionOwner, type PartitionSettings, type Start } from "./assigned-partition.ts";
import { CommitLedger } from "./commit-ledger.ts";
import type { TopicPartitions } from "./group-assignment.ts";

const RETRY = 250;

/** What an assignment needs of the client that it was made by. */
export interface AssignmentWork {
  /** Where a partition begins; waits outages out. */
  startOf(partition: AssignedPartition): Promise<Start>;
  wants(partition: AssignedPartition): void;
  /** Writes the `uncommitted` positions in the name of this assignment, and marks them; throws when that has to be tried again. */
  write(partitions: readonly AssignedPartition[]): Promise<void>;
  /** A partition is done with: nothing is fetched for it any more. */
  disposed(partition: AssignedPartition): void;
}

/** The partitions that a member was given between two rebalances. */
export class Assignment implements PartitionOwner {
  readonly partitions: readonly AssignedPartition[];
  readonly #work: AssignmentWork;
  readonly #ledger: CommitLedger;
  readonly #clock: Clock;
  readonly #giveUp: AbortSignal;
  readonly #lost = new AbortController();
  /** Settles when every partition was disposed of. */
  readonly drained: Promise<unknown>;

  /** @param giveUp aborts when positions that can't be written are given up */
  constructor(
    assigned: readonly TopicPartitions[],
    settings: Omit<PartitionSettings, "edition"> & {
      readonly giveUp: AbortSignal;
      /** The ids of topics, where the client knows them. */
      readonly editions: ReadonlyMap<string, string>;
    },
    work: AssignmentWork,
  ) {
    this.#work = work;
    this.#clock = settings.clock;
    this.#giveUp = settings.giveUp;
    this.#ledger = new CommitLedger(settings.clock, (partitions) => work.write(partitions));
    this.partitions = assigned.flatMap(({ topic, partitions }) =>
      partitions.map((partition) => new AssignedPartition(topic, partition, this, { ...settings, edition: settings.editions.get(topic) })),
    );
    this.drained = Promise.all(this.partitions.map(({ disposed }) => disposed));
  }

  /** Aborts when the partitions may be another's by now. */
  get lost(): AbortSignal {
    return this.#lost.signal;
  }

  /** Events that wait in the log, over the partitions of which it is known; undefined when of none. */
  get lag(): number | undefined {
    let lag: number | undefined;
    for (const partition of this.partitions) if (partition.lag !== undefined) lag = (lag ?? 0) + partition.lag;
    return lag;
  }

  /** Asks every partition's pipeline to finish what it has read. */
  end(): void {
    for (const partition of this.partitions) partition.end();
  }

  /** Takes every partition away at once. */
  lose(why: string): void {
    if (this.#lost.signal.aborted) return;
    this.#lost.abort();
    this.#ledger.close();
    for (const partition of this.partitions) partition.lose(why);
  }

  startOf(partition: AssignedPartition): Promise<Start> {
    return this.#work.startOf(partition);
  }

  wants(partition: AssignedPartition): void {
    this.#work.wants(partition);
  }

  commits(partition: AssignedPartition): void {
    this.#ledger.note(partition);
  }

  async release(partition: AssignedPartition): Promise<void> {
    this.#work.disposed(partition);
    const over = AbortSignal.any([this.#giveUp, this.#lost.signal]);
    while (partition.uncommitted !== undefined && !over.aborted) {
      try {
        await this.#ledger.flush();
      } catch {
        // Whoever writes reports it; here it only matters that the position is not written yet.
        await sleep(RETRY, over, this.#clock).catch(() => {});
      }
    }
  }
}
