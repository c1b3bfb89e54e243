/**
 * The inside of kafkajs that consuming is built on. It hands its `cluster` to partition assigners, which is the way in; what
 * the cluster and its brokers can do is typed here as far as it is used. kafkajs 2.2.4 is its last release, pinned exactly.
 */
import type { Kafka } from "kafkajs";

import { ASSIGNOR, type TopicPartitions } from "./group-assignment.ts";

export interface KafkajsCluster {
  connect(): Promise<void>;
  findBroker(node: { readonly nodeId: number }): Promise<KafkajsBroker>;
  findGroupCoordinator(group: { readonly groupId: string }): Promise<KafkajsBroker>;
  readonly brokerPool: {
    readonly metadata: { readonly topicMetadata: readonly TopicMetadata[] } | null;
    refreshMetadata(topics: readonly string[]): Promise<void>;
  };
}

export interface TopicMetadata {
  readonly topic: string;
  readonly partitionMetadata: readonly { readonly partitionId: number; readonly leader: number }[];
}

export interface GroupMemberOf {
  readonly groupId: string;
  readonly groupGenerationId: number;
  readonly memberId: string;
}

export interface KafkajsBroker {
  /** Fetches have a connection of their own, all else shares one. */
  readonly connectionPool: {
    send<R>(request: { readonly request: unknown; readonly response: ResponseReader<R>; readonly requestTimeout: number }): Promise<R>;
  };
  disconnect(): Promise<void>;
  joinGroup(request: {
    readonly groupId: string;
    readonly sessionTimeout: number;
    readonly rebalanceTimeout: number;
    readonly memberId: string;
    readonly groupProtocols: readonly { readonly name: string; readonly metadata: Buffer }[];
  }): Promise<{
    readonly generationId: number;
    readonly memberId: string;
    readonly members: readonly { readonly memberId: string; readonly memberMetadata: Buffer }[];
  }>;
  syncGroup(request: {
    readonly groupId: string;
    readonly generationId: number;
    readonly memberId: string;
    readonly groupAssignment: readonly { readonly memberId: string; readonly memberAssignment: Buffer }[];
  }): Promise<{ readonly memberAssignment: Buffer }>;
  heartbeat(request: GroupMemberOf): Promise<unknown>;
  leaveGroup(request: { readonly groupId: string; readonly memberId: string }): Promise<unknown>;
  offsetCommit(
    request: GroupMemberOf & {
      readonly topics: readonly {
        readonly topic: string;
        readonly partitions: readonly { readonly partition: number; readonly offset: string; readonly metadata: string | null }[];
      }[];
    },
  ): Promise<unknown>;
  offsetFetch(request: {
    readonly groupId: string;
    readonly topics: readonly { readonly topic: string; readonly partitions: readonly { readonly partition: number }[] }[];
  }): Promise<OffsetAnswer>;
  listOffsets(request: {
    readonly isolationLevel: number;
    readonly topics: readonly {
      readonly topic: string;
      readonly partitions: readonly { readonly partition: number; readonly timestamp: string }[];
    }[];
  }): Promise<OffsetAnswer>;
}

interface OffsetAnswer {
  readonly responses: readonly {
    readonly topic: string;
    /** `metadata` is in answers about committed offsets only. */
    readonly partitions: readonly { readonly partition: number; readonly offset: string; readonly metadata?: string | null }[];
  }[];
}

interface ResponseReader<R> {
  decode(bytes: Buffer): { readonly clientSideThrottleTime: number; readonly value: R };
  parse(decoded: { readonly value: R }): R;
}

/** A cluster with connections of its own. */
export interface OpenCluster extends AsyncDisposable {
  readonly cluster: KafkajsCluster;
}

/** Makes a cluster that is not connected yet. */
export function openCluster(kafka: Kafka): OpenCluster {
  const captured: { cluster?: KafkajsCluster } = {};
  const consumer = kafka.consumer({
    groupId: "-",
    allowAutoTopicCreation: false,
    // Few: whoever asks tries again by itself, and says why.
    retry: { retries: 1, initialRetryTime: 100, maxRetryTime: 1000 },
    partitionAssigners: [
      ({ cluster }) => {
        captured.cluster = cluster as unknown as KafkajsCluster;
        return {
          name: ASSIGNOR,
          version: 0,
          assign: () => Promise.resolve([]),
          protocol: () => ({ name: ASSIGNOR, metadata: Buffer.alloc(0) }),
        };
      },
    ],
  });
  if (captured.cluster === undefined) throw new Error("kafkajs did not hand out its cluster; version 2.2.4 does");
  return { cluster: captured.cluster, [Symbol.asyncDispose]: () => consumer.disconnect().catch(() => {}) };
}

/** Topics with their partitions in the form that kafkajs's encoder takes. */
export function byTopic(share: readonly TopicPartitions[]): Record<string, number[]> {
  return Object.fromEntries(share.map(({ topic, partitions }) => [topic, [...partitions]]));
}
