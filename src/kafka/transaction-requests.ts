/**
 * What a transaction asks of the brokers, request by request, and what their errors mean for it.
 * Protocol: https://cwiki.apache.org/confluence/display/KAFKA/KIP-98+-+Exactly+Once+Delivery+and+Transactional+Messaging
 */
import type { Position } from "../batch.ts";
import type { CommitRights } from "../contracts.ts";
import { nested } from "./broker-errors.ts";
import type { ProducerId } from "./producer-client.ts";

/** A partition that is written to. */
export interface Target {
  readonly topic: string;
  readonly partition: number;
}

/** The requests of one transactional id. Each is one attempt, throws what the client throws, and may be made again. */
export interface TransactionRequests {
  /** The id, which fences whoever had it before. */
  readonly id: string;
  /**
   * Takes the id over and ends its open transaction.
   * @param present who we are already, when it is to be renewed: refused when another has taken the id over meanwhile
   */
  init(present: ProducerId | undefined): Promise<ProducerId>;
  /** Makes partitions part of the transaction, before anything is written to them. */
  include(producer: ProducerId, targets: readonly Target[]): Promise<void>;
  /** Makes the positions of a group part of the transaction, before one is written. */
  includeGroup(producer: ProducerId, group: string): Promise<void>;
  writePosition(producer: ProducerId, rights: CommitRights, position: Position): Promise<void>;
  end(producer: ProducerId, outcome: "commit" | "abort"): Promise<void>;
  /** Coordinators may be other brokers by now: they are looked for again. */
  forget(): void;
}

/**
 * What an error means: `busy`: the broker did nothing yet; `again`: it may have done it; `lost`: the group has given the
 * partition to another; `fenced`: the id is another's, or the broker ended the transaction; `refused`: it will never do it.
 */
export type TransactionTrouble = "busy" | "again" | "lost" | "fenced" | "refused";

const MEANINGS: Readonly<Record<string, TransactionTrouble>> = {
  CONCURRENT_TRANSACTIONS: "busy",
  COORDINATOR_LOAD_IN_PROGRESS: "busy",
  // Another partition of the same request was refused.
  OPERATION_NOT_ATTEMPTED: "busy",
  COORDINATOR_NOT_AVAILABLE: "again",
  KAFKA_STORAGE_ERROR: "again",
  LEADER_NOT_AVAILABLE: "again",
  NETWORK_EXCEPTION: "again",
  NOT_COORDINATOR: "again",
  NOT_ENOUGH_REPLICAS: "again",
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: "again",
  NOT_LEADER_OR_FOLLOWER: "again",
  REBALANCE_IN_PROGRESS: "again",
  REQUEST_TIMED_OUT: "again",
  UNKNOWN_TOPIC_OR_PARTITION: "again",
  FENCED_INSTANCE_ID: "lost",
  ILLEGAL_GENERATION: "lost",
  UNKNOWN_MEMBER_ID: "lost",
  INVALID_PRODUCER_EPOCH: "fenced",
  PRODUCER_FENCED: "fenced",
};

const WORST: readonly TransactionTrouble[] = ["refused", "fenced", "lost", "again", "busy"];

/** What the broker's answers in an error mean, and the name of the one that counts; without an answer it is `again`. */
export function troubleOf(thrown: unknown): { readonly trouble: TransactionTrouble; readonly name: string | undefined } {
  const names = [...nested(thrown)].map((error) => (error as { apiId?: unknown }).apiId).filter((name) => typeof name === "string");
  for (const trouble of WORST) {
    const name = names.find((name) => (MEANINGS[name] ?? "refused") === trouble);
    if (name !== undefined) return { trouble, name };
  }
  return { trouble: "again", name: undefined };
}
