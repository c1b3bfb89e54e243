import type { BrokerOffsets } from "../../broker-offsets.ts";
import type { OpenContext } from "../../contracts.ts";
import type { Plan } from "../../pipeline/plan.ts";

/** The task's offsets at the broker of its source; undefined when the source has none there. */
export async function openOffsets(
  { source: { kind, description } }: Plan,
  task: string,
  context: Pick<OpenContext, "connections" | "shared" | "logger" | "clock" | "signal">,
): Promise<BrokerOffsets | undefined> {
  if (kind === "kafka") {
    const { KafkaOffsets } = await import("../../kafka/offsets.ts");
    const group = String(description["group"] ?? `millrace-${task}`);
    const { logger, shared, connections } = context;
    const opened = { connection: connections.kafka, clientId: `millrace-${task}-offsets`, logger, shared };
    return await KafkaOffsets.open(String(description["topics"]).split(", "), group, opened);
  }
  if (kind !== "jetstream") return undefined;
  const [{ JetStreamOffsets }, { JetStreamApi }, { leaseLink }, { asName }] = await Promise.all([
    import("../../nats/offsets.ts"),
    import("../../nats/api.ts"),
    import("../../nats/connection.ts"),
    import("../../nats/subjects.ts"),
  ]);
  const lease = await leaseLink(context);
  const name = String(description["consumer"] ?? asName(`millrace-${task}`));
  const api = new JetStreamApi(lease.resource, context.clock, (reason) => {
    if (reason !== undefined) context.logger.warn({}, reason);
  });
  return new JetStreamOffsets({ stream: String(description["stream"]), name }, api, lease, context.signal);
}
