/** JetStream through the NATS client alone. */
import { jetstream, jetstreamManager } from "@nats-io/jetstream";
import { connect, headers } from "@nats-io/transport-node";

const HEADER = "Millrace-Key";

/** A message to write. */
export interface Keyed {
  readonly subject: string;
  readonly key: string;
  readonly text: string;
}

/** Publishes messages in order; settles when the stream has stored as many more. */
export async function writeByNats(address: string, stream: string, messages: Iterable<Keyed> | AsyncIterable<Keyed>): Promise<void> {
  const client = await connect({ servers: address });
  try {
    const manager = await jetstreamManager(client);
    const stored = async () => (await manager.streams.info(stream)).state.messages;
    const before = await stored();
    let sent = 0;
    for await (const { subject, key, text } of messages) {
      const header = headers();
      header.set(HEADER, key);
      client.publish(subject, text, { headers: header });
      // The server takes in whatever it reads; unread bytes must not pile up here.
      if (++sent % 2000 === 0) await client.flush();
    }
    await client.flush();
    for (let deadline = performance.now() + 30_000; (await stored()) < before + sent;) {
      if (performance.now() > deadline) throw new Error(`of ${sent} messages ${(await stored()) - before} were stored`);
    }
  } finally {
    await client.close();
  }
}

/** Calls `take` for every message of a stream, in its order. */
export async function readByNats(
  address: string,
  stream: string,
  take: (subject: string, key: string, text: string) => void,
): Promise<void> {
  const client = await connect({ servers: address });
  try {
    const manager = await jetstreamManager(client);
    if ((await manager.streams.info(stream)).state.messages === 0) return;
    const consumer = await jetstream(client).consumers.get(stream);
    for await (const message of await consumer.consume({ max_messages: 5000 })) {
      take(message.subject, message.headers?.get(HEADER) ?? "", message.string());
      if (message.info.pending === 0) break;
    }
  } finally {
    await client.close();
  }
}

/** How many messages a stream has. */
export async function countByNats(address: string, stream: string): Promise<number> {
  const client = await connect({ servers: address });
  try {
    return (await (await jetstreamManager(client)).streams.info(stream)).state.messages;
  } finally {
    await client.close();
  }
}

/** Up to which sequence number a consumer has acknowledged everything. */
export async function acknowledgedByNats(address: string, stream: string, consumer: string): Promise<number> {
  const client = await connect({ servers: address });
  try {
    return (await (await jetstreamManager(client)).consumers.info(stream, consumer)).ack_floor.stream_seq;
  } finally {
    await client.close();
  }
}
