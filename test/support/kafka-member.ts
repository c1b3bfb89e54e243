/**
 * A member of a group as a process of its own, to be killed or to be hung: `kafka-member.ts ADDRESS CLIENT TOPIC`. It tells
 * its parent each partition that it takes (`{ taken }`), loses (`{ lost }`) and what it reads (`{ partition, values }`), before
 * it commits it. On `{ hang: ms }` it blocks its event loop for that long.
 */
import type { KafkaConnection } from "../../src/connections.ts";
import { consumerSettings, Reader } from "./kafka-reader.ts";
import { kafkaConnection } from "./kafka-topics.ts";

/** What a member tells its parent. */
export interface MemberReport {
  readonly partition?: string;
  readonly values?: readonly number[];
}

const [address = "", client = "", topic = ""] = process.argv.slice(2);

const reader = new Reader(kafkaConnection(address, client as KafkaConnection["client"]), consumerSettings(topic), {
  work: async ({ name }, { events }) => {
    await new Promise((resolve) => setTimeout(resolve, 10));
    if (events.length > 0) process.send?.({ partition: name, values: events.map(({ value }) => Number(value)) } satisfies MemberReport);
  },
});
reader.ended.catch((error: unknown) => {
  throw error;
});

process.on("message", ({ hang }: { hang: number }) => {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, hang);
});
process.on("disconnect", () => process.exit(0));
