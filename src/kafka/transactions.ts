import type { KafkaConnection } from "../connections.ts";
import type { Lease, OpenContext, Partition } from "../contracts.ts";
import { ConfigError, InfrastructureError } from "../errors.ts";
import { Availability } from "./availability.ts";
import { BatchingProducer } from "./batching-producer.ts";
import { PlatformaticProducer } from "./platformatic-producer.ts";
import { PlatformaticTransactions } from "./platformatic-transactions.ts";
import type { ProducerSettings, TopicWriter } from "./producer.ts";
import { TransactionalProducer } from "./transaction.ts";
import { TransactionalPartition } from "./transactional-partition.ts";
import { TransactionalClient } from "./transactional-writer.ts";

/** The transactions of one sink: a transactional producer for each partition that is read, over shared connections. */
export class Transactions implements AsyncDisposable {
  readonly #client: Lease<PlatformaticProducer>;
  readonly #settings: ProducerSettings;
  readonly #context: OpenContext;
  readonly #availability: Availability;

  private constructor(client: Lease<PlatformaticProducer>, settings: ProducerSettings, topic: string, context: OpenContext) {
    this.#client = client;
    this.#settings = settings;
    this.#context = context;
    this.#availability = new Availability(`writing ${topic} in transactions`, context.logger, (reason) => context.waiting(reason));
  }

  /** @throws {ConfigError} when the connection's client can't do it */
  static async open(settings: ProducerSettings, topic: string, context: OpenContext): Promise<Transactions> {
    const { kafka } = context.connections;
    if (kafka.client === "kafkajs") {
      const what = `is kafkajs, which can't write to topic "${topic}" with the delivery exactly-once; set it to platformatic`;
      throw new ConfigError([{ where: "kafka.client", what }]);
    }
    const client = await context.shared.lease(clientKey(kafka, settings), () =>
      Promise.resolve(new PlatformaticProducer(kafka, settings, "millrace")),
    );
    return new Transactions(client, settings, topic, context);
  }

  /** The transactions of a partition. Nothing is asked of the brokers before it is read. */
  begin(partition: Partition): PartitionTransactions {
    return new PartitionTransactions(partition, this.#client.resource, this.#settings, this.#context, this.#availability);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#client[Symbol.asyncDispose]();
  }
}

/** Names the client among what the process shares; without secrets. */
function clientKey({ brokers, sasl }: KafkaConnection, { compression }: ProducerSettings): string {
  return JSON.stringify(["kafka transactions", brokers, sasl?.username, compression]);
}

/** What one partition writes, and how far it is read. */
export class PartitionTransactions {
  readonly partition: TransactionalPartition;
  readonly #producer: BatchingProducer;
  readonly #availability: Availability;
  readonly #topics = new Map<string, Promise<TopicWriter>>();
  readonly #over: AbortSignal;

  constructor(
    partition: Partition,
    client: PlatformaticProducer,
    settings: ProducerSettings,
    context: OpenContext,
    availability: Availability,
  ) {
    const { rights } = partition;
    if (rights === undefined)
      throw new InfrastructureError(`partition ${partition.name} has no group that its position could be written for`);
    this.#availability = availability;
    this.#over = AbortSignal.any([partition.signal, context.signal]);
    const { clock, logger } = context;
    const over = this.#over;
    const waiting = (error: unknown) => this.#report(partition.name, error === undefined ? undefined : client.troubleIn(error));
    // An id of the group's: whoever is given the partition takes it over from its last owner.
    const requests = new PlatformaticTransactions(client, `${rights.group}/${rights.topic}/${rights.partition}`);
    const transactional = new TransactionalProducer(requests, { clock, over, waiting });
    this.#producer = new BatchingProducer(new TransactionalClient(client, transactional), settings);
    const abort = async () => {
      for (const [topic, writer] of this.#topics) {
        (await writer.catch(() => undefined))?.[Symbol.dispose]();
        // Whatever it waited for, it does so no longer.
        this.#report(this.#wayTo(topic), undefined);
      }
      await transactional.abort();
      await this.#producer[Symbol.asyncDispose]();
      this.#report(partition.name, undefined);
    };
    const producer = {
      begin: (signal: AbortSignal) => transactional.begin(signal),
      commit: transactional.commit.bind(transactional),
      abort,
    };
    this.partition = new TransactionalPartition(partition, { rights, producer, clock, logger, over });
  }

  /** A way into a topic, whose records belong to the transaction. */
  async writer(topic: string): Promise<TopicWriter> {
    let opening = this.#topics.get(topic);
    if (opening === undefined) {
      const waiting = (reason: string | undefined) => this.#report(this.#wayTo(topic), reason);
      opening = this.#producer.topic(topic, { create: undefined, signal: this.#over, waiting });
      this.#topics.set(topic, opening);
    }
    return await opening;
  }

  #wayTo(topic: string): string {
    return `${this.partition.name} to ${topic}`;
  }

  #report(part: string, reason: string | undefined): void {
    if (reason === undefined) this.#availability.up(part);
    else this.#availability.down(part, reason);
  }
}
