/**
 * The requests of a transaction through @platformatic/kafka, in the newest versions that need no transaction of the second
 * kind (KIP-890): Kafka 2.7 and later.
 */
import {
  addOffsetsToTxnV3,
  addPartitionsToTxnV3,
  type Connection,
  endTxnV3,
  FindCoordinatorKeyTypes,
  findCoordinatorV4,
  initProducerIdV4,
  txnOffsetCommitV3,
} from "@platformatic/kafka";

import type { Position } from "../batch.ts";
import type { CommitRights } from "../contracts.ts";
import type { BrokerAddress } from "./client-options.ts";
import type { PlatformaticProducer } from "./platformatic-producer.ts";
import type { ProducerId } from "./producer-client.ts";
import { type Target, type TransactionRequests, troubleOf } from "./transaction-requests.ts";
import { TRANSACTION_TIMEOUT } from "./transaction.ts";

/** No identity yet. */
const NOBODY: ProducerId = { producerId: -1n, producerEpoch: -1 };

type Coordinators = "TRANSACTION" | "GROUP";

export class PlatformaticTransactions implements TransactionRequests {
  readonly id: string;
  readonly #client: PlatformaticProducer;
  readonly #coordinators = new Map<Coordinators, BrokerAddress>();

  constructor(client: PlatformaticProducer, id: string) {
    this.#client = client;
    this.id = id;
  }

  async init(present: ProducerId = NOBODY): Promise<ProducerId> {
    const { producerId, producerEpoch } = present;
    const answer = await this.#ask("TRANSACTION", this.id, (connection) =>
      initProducerIdV4.api.async(connection, this.id, TRANSACTION_TIMEOUT, producerId, producerEpoch),
    );
    return { producerId: answer.producerId, producerEpoch: answer.producerEpoch };
  }

  async include(producer: ProducerId, targets: readonly Target[]): Promise<void> {
    const topics = [...Map.groupBy(targets, ({ topic }) => topic)].map(([name, some]) => ({
      name,
      partitions: some.map(({ partition }) => partition),
    }));
    const transaction = { transactionalId: this.id, ...producer, verifyOnly: false, topics };
    await this.#ask("TRANSACTION", this.id, (connection) => addPartitionsToTxnV3.api.async(connection, [transaction]));
  }

  async includeGroup({ producerId, producerEpoch }: ProducerId, group: string): Promise<void> {
    await this.#ask("TRANSACTION", this.id, (connection) =>
      addOffsetsToTxnV3.api.async(connection, this.id, producerId, producerEpoch, group),
    );
  }

  async writePosition({ producerId, producerEpoch }: ProducerId, rights: CommitRights, position: Position): Promise<void> {
    const { topic, partition, group, generation, member } = rights;
    const partitions = [
      { partitionIndex: partition, committedOffset: BigInt(position), committedLeaderEpoch: -1, committedMetadata: null },
    ];
    await this.#ask("GROUP", group, (connection) =>
      txnOffsetCommitV3.api.async(connection, this.id, group, producerId, producerEpoch, generation, member, null, [
        { name: topic, partitions },
      ]),
    );
  }

  async end({ producerId, producerEpoch }: ProducerId, outcome: "commit" | "abort"): Promise<void> {
    await this.#ask("TRANSACTION", this.id, (connection) =>
      endTxnV3.api.async(connection, this.id, producerId, producerEpoch, outcome === "commit"),
    );
  }

  forget(): void {
    this.#coordinators.clear();
  }

  async #ask<R>(kind: Coordinators, key: string, request: (connection: Connection) => Promise<R>): Promise<R> {
    const connection = await this.#client.connectionTo(await this.#coordinator(kind, key));
    try {
      return await request(connection);
    } catch (error) {
      // An answer that comes after its request timed out upsets the connection's reader, so it must not come.
      if (troubleOf(error).name === undefined) connection.socket.destroy();
      throw error;
    }
  }

  async #coordinator(kind: Coordinators, key: string): Promise<BrokerAddress> {
    const known = this.#coordinators.get(kind);
    if (known !== undefined) return known;
    const anyBroker = await this.#client.connectionTo(undefined);
    const { coordinators } = await findCoordinatorV4.api.async(anyBroker, FindCoordinatorKeyTypes[kind], [key]);
    const found = coordinators[0];
    if (found === undefined) throw new Error(`no coordinator for ${key}`);
    this.#coordinators.set(kind, found);
    return found;
  }
}
