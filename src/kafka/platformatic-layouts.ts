/**
 * How topics are laid out, asked through a client of @platformatic/kafka. The client throws a whole topic away for the error
 * of one partition, so that one without a leader would stop all others.
 */
import type { Base } from "@platformatic/kafka";

import { brokerErrorName, nested } from "./broker-errors.ts";
import { isMissing } from "./producer-client.ts";

interface Broker {
  readonly host: string;
  readonly port: number;
}

export interface TopicLayout {
  readonly id: string;
  /** The node that leads each partition; negative while there is none. */
  readonly leaders: readonly number[];
}

/** A reply as the client leaves it in the error that it makes of it. */
interface MetadataReply {
  readonly brokers: readonly (Broker & { readonly nodeId: number })[];
  readonly topics: readonly {
    readonly errorCode: number;
    readonly topicId: string;
    readonly partitions: readonly { readonly partitionIndex: number; readonly leaderId: number }[];
  }[];
}

export class PlatformaticLayouts {
  readonly #client: Pick<Base, "metadata">;
  readonly #topics = new Map<string, TopicLayout>();
  #brokers: ReadonlyMap<number, Broker> = new Map();

  constructor(client: Pick<Base, "metadata">) {
    this.#client = client;
  }

  /** The brokers as of the last answer, by node. */
  get brokers(): ReadonlyMap<number, Broker> {
    return this.#brokers;
  }

  /** A topic as it was when it was last asked for; undefined when it does not exist. */
  async of(topic: string): Promise<TopicLayout | undefined> {
    return this.#topics.get(topic) ?? (await this.ask(topic));
  }

  /** Asks for a topic anew; undefined when it does not exist. */
  async ask(topic: string): Promise<TopicLayout | undefined> {
    try {
      const { brokers, topics } = await this.#client.metadata({ topics: [topic], forceUpdate: true });
      const told = topics.get(topic);
      return told && this.#keep(topic, brokers, { id: told.id, leaders: told.partitions.map(({ leader }) => leader) });
    } catch (error) {
      if (isUnknownTopic(error)) return undefined;
      const reply = replyIn(error);
      const told = reply?.topics[0];
      if (reply === undefined || told === undefined || told.errorCode !== 0) throw error;
      const leaders: number[] = [];
      for (const { partitionIndex, leaderId } of told.partitions) leaders[partitionIndex] = leaderId;
      return this.#keep(topic, new Map(reply.brokers.map((broker) => [broker.nodeId, broker])), { id: told.topicId, leaders });
    }
  }

  /** Makes all topics be asked for anew. */
  forget(): void {
    this.#topics.clear();
  }

  #keep(topic: string, brokers: ReadonlyMap<number, Broker>, layout: TopicLayout): TopicLayout {
    this.#brokers = brokers;
    this.#topics.set(topic, layout);
    return layout;
  }
}

/** What the brokers replied last, of all attempts. */
function replyIn(error: unknown): MetadataReply | undefined {
  return [...nested(error)].map((one) => (one as { response?: MetadataReply }).response).findLast((reply) => reply?.topics !== undefined);
}

function isUnknownTopic(error: unknown): boolean {
  return error instanceof Error && (error.message.startsWith("Unknown topic ") || isMissing(brokerErrorName(error) ?? ""));
}
