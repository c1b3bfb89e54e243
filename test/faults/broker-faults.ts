/** What can befall single brokers of several: leaders and coordinators move. */
import { execFile } from "node:child_process";
import { promisify } from "node:util";

import { kcat, type Service } from "../support/services/index.ts";
import { until } from "../support/until.ts";
import type { Fault } from "./faults.ts";

const run = promisify(execFile);

/** Several brokers, in the order of their node ids, which begin at 1. */
export interface Cluster {
  readonly address: string;
  readonly brokers: readonly Service[];
  readonly topic: string;
  readonly group: string;
}

/** As `offsets.topic.num.partitions` of the brokers. */
const GROUP_PARTITIONS = 4;
const GROUPS_TOPIC = "__consumer_offsets";
/** How long copies may take to catch up with their leader, in milliseconds. */
const IN_SYNC_WITHIN = 60_000;

/** Faults of the leader of a partition, of the group's coordinator, and of one broker after the other. */
export function brokerFaults(cluster: Cluster): readonly Fault[] {
  const { brokers, topic, group } = cluster;
  const leader = async (choice: number) => await leaderOf(cluster, topic, (count) => Math.floor(choice * count));
  return [
    fault("kill the leader of a partition", leader, (broker) => broker.kill(), restart(cluster)),
    fault("stop the leader of a partition", leader, (broker) => broker.stop(), restart(cluster)),
    fault(
      "freeze the leader of a partition",
      leader,
      (broker) => broker.freeze(),
      (broker) => broker.thaw(),
    ),
    fault(
      "kill the group's coordinator",
      async () => await leaderOf(cluster, GROUPS_TOPIC, () => javaHash(group) % GROUP_PARTITIONS),
      (broker) => broker.kill(),
      restart(cluster),
    ),
    {
      name: "restart the brokers one after the other",
      shortest: 0,
      longest: 0,
      inject: async () => {
        for (const broker of brokers) {
          await broker.stop();
          await restart(cluster)(broker);
        }
      },
      heal: async () => {},
    },
  ];
}

function fault(
  name: string,
  find: (choice: number) => Promise<Service>,
  harm: (broker: Service) => Promise<void>,
  help: (broker: Service) => Promise<void>,
): Fault {
  let harmed: Service | undefined;
  return {
    name,
    shortest: 3000,
    longest: 10_000,
    inject: async (choice) => {
      harmed = await find(choice);
      await harm(harmed);
    },
    heal: async () => {
      if (harmed !== undefined) await help(harmed);
      harmed = undefined;
    },
  };
}

/** The next fault may take another broker away only when all have everything again. */
function restart({ address, topic }: Cluster): (broker: Service) => Promise<void> {
  return async (broker) => {
    await broker.restart();
    const inSync = async () => (await partitionsOf(address, topic)).every(({ isrs, replicas }) => isrs.length === replicas.length);
    await until("all copies are in sync", async () => await inSync().catch(() => false), { timeout: IN_SYNC_WITHIN, every: 300 });
  };
}

async function leaderOf({ address, brokers }: Cluster, topic: string, partitionOf: (count: number) => number): Promise<Service> {
  return await until("the partition has a leader", async () => {
    const partitions = await partitionsOf(address, topic).catch(() => []);
    const number = partitionOf(partitions.length);
    const id = partitions.find(({ partition }) => partition === number)?.leader ?? -1;
    return brokers[id - 1];
  });
}

interface PartitionState {
  readonly partition: number;
  readonly leader: number;
  readonly replicas: readonly unknown[];
  readonly isrs: readonly unknown[];
}

async function partitionsOf(address: string, topic: string): Promise<readonly PartitionState[]> {
  const { stdout } = await run(await kcat(), ["-L", "-J", "-b", address, "-t", topic]);
  const { topics } = JSON.parse(stdout) as { readonly topics: readonly { readonly partitions: readonly PartitionState[] }[] };
  return topics[0]?.partitions ?? [];
}

/** As brokers choose the partition of a group: Java's hash of its name, without the sign. */
function javaHash(text: string): number {
  let hash = 0;
  for (const character of text) hash = (Math.imul(hash, 31) + character.charCodeAt(0)) | 0;
  return hash & 0x7fffffff;
}
