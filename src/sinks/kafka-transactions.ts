import type { Event } from "../batch.ts";
import type { Partition, Refuse, Sink, Transacted } from "../contracts.ts";
import type { PartitionTransactions, Transactions } from "../kafka/transactions.ts";
import { ofItsEvent, type RecordMaker } from "./kafka-records.ts";
import { throwRefused } from "./refused.ts";

/** The partition, and the sink for what is made of it: records and position become visible together. */
export function transactedBy(transactions: Transactions, partition: Partition, topic: string, maker: RecordMaker): Transacted {
  const opened = transactions.begin(partition);
  return { partition: opened.partition, sink: new TransactedSink(opened, topic, maker) };
}

/** Writes in order, one call after the other, so that a transaction can end behind each. */
class TransactedSink implements Sink {
  readonly maxInFlight = 1;
  readonly #transactions: PartitionTransactions;
  readonly #topic: string;
  readonly #maker: RecordMaker;

  constructor(transactions: PartitionTransactions, topic: string, maker: RecordMaker) {
    this.#transactions = transactions;
    this.#topic = topic;
    this.#maker = maker;
  }

  async write(events: readonly Event[], signal: AbortSignal, refuse: Refuse = throwRefused): Promise<void> {
    const { records, sent, end } = this.#maker.recordsOf(events, refuse);
    if (records.length > 0) {
      let last = -1;
      for (const { offset } of sent) last = Math.max(last, offset);
      const writer = await this.#transactions.writer(this.#topic);
      await this.#transactions.partition.write(last, async () => {
        try {
          await writer.send(records, signal);
        } catch (error) {
          throw ofItsEvent(error, records, sent);
        }
      });
    }
    if (end !== undefined) throw end.thrown;
  }

  /** The transactions end with their partition. */
  [Symbol.asyncDispose](): Promise<void> {
    return Promise.resolve();
  }
}
