import type { Batch, Position } from "../batch.ts";
import type { Failures, Partition, Source } from "../contracts.ts";

/**
 * A source with one partition and no broker to remember its position: instance 0 reads it, the others of the task have
 * nothing to do. Without a checkpoint a restart reads from the beginning.
 * @param read yields the batches from a position on; it ends when `stop` aborts
 * @param edition see `Partition.edition`
 */
export function singlePartition(
  name: string,
  instance: number,
  read: (from: Position | undefined, stop: AbortSignal, failures: Failures | undefined) => AsyncIterable<Batch>,
  edition?: string,
): Source {
  const never = new AbortController().signal;
  return {
    async *partitions(stop): AsyncGenerator<Partition> {
      if (instance > 0 || stop.aborted) return;
      yield {
        name,
        edition,
        signal: never,
        read: (from, failures) => read(from, stop, failures),
        commit: () => Promise.resolve(),
        [Symbol.asyncDispose]: () => Promise.resolve(),
      };
    },
    [Symbol.asyncDispose]: () => Promise.resolve(),
  };
}
