import type { ConsumerInfo } from "@nats-io/jetstream";
import type { Msg, NatsConnection as Client, Subscription } from "@nats-io/transport-node";
import { createInbox } from "@nats-io/transport-node";

import { ConfigError, InfrastructureError, messageOf } from "../errors.ts";
import { refused } from "./api.ts";
import { GROUP } from "./consumers.ts";
import type { PartitionParts } from "./partition-parts.ts";
import { PullSubscription } from "./pull.ts";

/** How long a request of no consequence may take, in milliseconds. */
const SHORT_TIMEOUT = 2000;
/** The first nats-server that can set a consumer back (ADR-60). */
const RESET_SINCE = [2, 14] as const;

/** What the server says of the priority groups of a consumer (ADR-42); the client's types leave it out. */
interface PinnedInfo extends ConsumerInfo {
  readonly priority_groups?: readonly { readonly group: string; readonly pinned_client_id?: string }[];
}

/** The id of the client that owns a consumer; undefined when nobody does. */
export function pinOf(info: ConsumerInfo): string | undefined {
  const id = (info as PinnedInfo).priority_groups?.find(({ group }) => group === GROUP)?.pinned_client_id;
  return id === "" ? undefined : id;
}

/**
 * Waits until this instance owns the consumer. The server pins the consumer to whoever gets a message while nobody owns it,
 * so a consumer for which no message was ever sent has no owner, and needs none.
 * @returns the id by which the server knows the owner
 */
export async function acquire(parts: PartitionParts): Promise<string> {
  const { api, wanted, stop, clock, logger } = parts;
  const target = { stream: wanted.stream, consumer: wanted.name, group: GROUP };
  let owner = await prepare(parts);
  await using pull = new PullSubscription(api.link, target, { messages: 1, bytes: 0 }, clock);
  for (let standing = false; ; standing = owner !== undefined, owner = await prepare(parts)) {
    if (owner !== undefined && !standing) logger.info({ consumer: wanted.name }, "another instance owns the consumer; standing by");
    if (pull.trouble !== undefined) pull.restart();
    await pull.wait(wanted.takeover, stop);
    stop.throwIfAborted();
    const [delivery] = pull.take(1, 0);
    const pin = delivery?.message.headers?.get("Nats-Pin-Id");
    if (pin !== undefined && pin !== "") return pin;
    if (pull.trouble?.kind === "refused")
      throw new InfrastructureError(`consumer "${wanted.name}": the server does not deliver: ${pull.trouble.reason}`);
  }
}

/**
 * Finds the consumer. When nobody owns it although messages were delivered and not acknowledged, whoever had them is gone:
 * they are made to be delivered again, which also gives the consumer its next owner.
 * @returns the owner's id
 */
async function prepare({ api, wanted, consumer, stop }: PartitionParts): Promise<string | undefined> {
  const info = await consumer.find(stop);
  checkVersion(await api.link.ready(stop), wanted.task);
  const owner = pinOf(info);
  if (owner === undefined && info.num_ack_pending > 0) await setBack(wanted, { api, stop });
  return owner;
}

/** Sets a consumer back to what is not acknowledged, or to a sequence number. Nothing that was delivered counts any more. */
export async function setBack(
  { stream, name }: { readonly stream: string; readonly name: string },
  { api, stop }: Pick<PartitionParts, "api" | "stop">,
  sequence?: number,
): Promise<ConsumerInfo> {
  try {
    return await api.ask(stop, ({ consumers }) => consumers.reset(stream, name, sequence));
  } catch (error) {
    throw refused(`consumer "${name}" of stream "${stream}" can't be set back to ${sequence ?? "what is not acknowledged"}`, error);
  }
}

function checkVersion(client: Client, task: string): void {
  const version = client.info?.version ?? "";
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const [needMajor, needMinor] = RESET_SINCE;
  if (major > needMajor || (major === needMajor && minor >= needMinor)) return;
  const what = `a pipeline that keeps state owns its consumer, which needs nats-server ${needMajor}.${needMinor} or newer; ${client.getServer()} is ${version}`;
  throw new ConfigError([{ where: `task ${task}`, what }]);
}

/** Keeps the consumer pinned while its owner does not ask for messages because its sink is slow. */
export class PinKeeper {
  readonly #parts: PartitionParts;
  readonly #pin: string;
  readonly #lost: (reason: string) => void;
  #cancel: () => void;
  #kept: number;
  /** When the requests were sent that are not answered; answers come in order. */
  #asked: number[] = [];
  #client: Client | undefined;
  #inbox: Subscription | undefined;

  /** @param lost told when the server, or the time since it last answered, says that the pin is not ours any more */
  constructor(parts: PartitionParts, pin: string, lost: (reason: string) => void) {
    this.#parts = parts;
    this.#pin = pin;
    this.#lost = lost;
    this.#kept = parts.clock.elapsed();
    this.#cancel = this.#schedule();
  }

  /** Whether the pin is surely ours: another can have it only when the server did not hear of us for the whole time. */
  get sure(): boolean {
    return this.#parts.clock.elapsed() - this.#kept < this.#parts.wanted.takeover;
  }

  /** Stops keeping it, and hands it over when it may still be ours. */
  async release(): Promise<void> {
    this.stop();
    const { api, wanted } = this.#parts;
    if (!this.sure) return;
    try {
      await api.link.client?.request(`$JS.API.CONSUMER.UNPIN.${wanted.stream}.${wanted.name}`, JSON.stringify({ group: GROUP }), {
        timeout: SHORT_TIMEOUT,
      });
    } catch {
      // Another takes over when the time is up.
    }
  }

  /** Stops keeping it. */
  stop(): void {
    this.#cancel();
    this.#inbox?.unsubscribe();
  }

  #schedule(): () => void {
    return this.#parts.clock.after(this.#parts.wanted.takeover / 3, () => {
      this.#cancel = this.#schedule();
      const { client } = this.#parts.api.link;
      if (client !== undefined) this.#keep(client);
    });
  }

  /**
   * Asks for at most one byte, if it is there at once: the server notes that the owner lives, answers, and has no message that
   * is so small.
   */
  #keep(client: Client): void {
    const { wanted, clock } = this.#parts;
    const request = { batch: 1, max_bytes: 1, no_wait: true, group: GROUP, id: this.#pin };
    try {
      if (this.#client !== client) {
        this.#client = client;
        this.#asked = [];
        this.#inbox = client.subscribe(createInbox(), { callback: (error, message) => this.#answered(error, message) });
      }
      const reply = this.#inbox?.getSubject() ?? "";
      client.publish(`$JS.API.CONSUMER.MSG.NEXT.${wanted.stream}.${wanted.name}`, JSON.stringify(request), { reply });
      this.#asked.push(clock.elapsed());
    } catch {
      // The connection was just lost: the link will say so.
    }
  }

  #answered(error: Error | null, message: Msg): void {
    const asked = this.#asked.shift() ?? this.#kept;
    const code = message.headers?.code ?? 0;
    if (error !== null) this.#lost(messageOf(error));
    else if (code === 423) this.#lost("another instance owns the consumer");
    // No messages, no such small ones, or others asked for before: all said after noting that we live.
    else if (code === 404 || code === 408 || code === 409) this.#kept = asked;
  }
}
