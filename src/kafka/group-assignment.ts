/** How partitions are shared out among the members of a group. */

/** The name under which members agree on it. Both clients use it, so that a group can change its client member by member. */
export const ASSIGNOR = "roundrobin";

export interface TopicPartitions {
  readonly topic: string;
  readonly partitions: readonly number[];
}

export interface Subscriber {
  readonly id: string;
  readonly topics: readonly string[];
}

/**
 * Deals the partitions of all topics out in turn, as Kafka's RoundRobinAssignor does: topics and members sorted by name,
 * each partition to the next member that subscribes to its topic.
 * @param counts how many partitions each topic has
 * @returns a share for every member, empty when there are more members than partitions
 */
export function assignRoundRobin(
  members: readonly Subscriber[],
  counts: ReadonlyMap<string, number>,
): ReadonlyMap<string, readonly TopicPartitions[]> {
  const sorted = members.toSorted((a, b) => compare(a.id, b.id));
  const shares = new Map(sorted.map(({ id }) => [id, new Map<string, number[]>()]));
  let turn = 0;
  for (const [topic, count] of [...counts].toSorted(([a], [b]) => compare(a, b))) {
    if (!sorted.some(({ topics }) => topics.includes(topic))) continue;
    for (let partition = 0; partition < count; partition++) {
      while (!at(sorted, turn).topics.includes(topic)) turn++;
      const share = shares.get(at(sorted, turn).id) as Map<string, number[]>;
      const partitions = share.get(topic);
      if (partitions === undefined) share.set(topic, [partition]);
      else partitions.push(partition);
      turn++;
    }
  }
  return new Map([...shares].map(([id, share]) => [id, [...share].map(([topic, partitions]) => ({ topic, partitions }))]));
}

function at(members: readonly Subscriber[], turn: number): Subscriber {
  return members[turn % members.length] as Subscriber;
}

function compare(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}
