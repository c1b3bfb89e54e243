import type { KafkaConnection } from "../connections.ts";
import type { Logger } from "../contracts.ts";
import { BatchingProducer } from "./batching-producer.ts";
import type { KafkaProducer, ProducerSettings } from "./producer.ts";

/** A producer that works through the connection's client. It connects when it is first needed. */
export async function createProducer(
  connection: KafkaConnection,
  settings: ProducerSettings,
  clientId: string,
  logger: Logger,
): Promise<KafkaProducer> {
  // Only the client in use is loaded.
  if (connection.client === "kafkajs") {
    const { KafkajsProducer } = await import("./kafkajs-producer.ts");
    return new BatchingProducer(new KafkajsProducer(connection, settings, clientId, logger), settings);
  }
  const { PlatformaticProducer } = await import("./platformatic-producer.ts");
  return new BatchingProducer(new PlatformaticProducer(connection, settings, clientId), settings);
}
