/** The settings of a durable consumer that can differ from the task's without keeping it from working. */
import type { ConsumerConfig, ConsumerInfo } from "@nats-io/jetstream";
import { JetStreamApiError } from "@nats-io/jetstream";

import { messageOf } from "../errors.ts";
import type { JetStreamApi } from "./api.ts";
import { isDenied } from "./api.ts";
import type { WantedConsumer } from "./consumers.ts";
import { millisecondsOf, nanoseconds } from "./consumers.ts";

/** A setting in which a consumer differs from what a task wants. */
interface Difference {
  readonly what: string;
  /** The flag of `nats consumer edit` that sets it. */
  readonly flag: string;
  readonly change: Partial<ConsumerConfig>;
}

/**
 * Gives a consumer that was there before the settings of its task where that may `create` it; leaves it alone otherwise.
 * @returns what is to be told of the settings that stay different; undefined when none does
 */
export async function fitSettings(
  api: JetStreamApi,
  signal: AbortSignal,
  info: ConsumerInfo,
  wanted: WantedConsumer,
): Promise<{ readonly info: ConsumerInfo; readonly warning: string | undefined }> {
  const differences = differencesOf(info.config, wanted);
  if (differences.length === 0) return { info, warning: undefined };
  if (!wanted.create) return { info, warning: warningOf(differences, wanted) };
  const change = Object.assign({}, ...differences.map((difference) => difference.change)) as Partial<ConsumerConfig>;
  const updated = await api.ask(signal, async ({ consumers }) => {
    try {
      return await consumers.update(wanted.stream, wanted.name, change);
    } catch (error) {
      // It works as it is: what it lacks is no reason to wait.
      if (isDenied(error) || (error instanceof JetStreamApiError && error.status !== 503)) return error;
      throw error;
    }
  });
  if (!(updated instanceof Error)) return { info: updated, warning: undefined };
  return { info, warning: `${warningOf(differences, wanted)}; it can't be changed from here: ${messageOf(updated)}` };
}

/** How an operator changes a consumer. */
export function editCommand({ stream, name }: Pick<WantedConsumer, "stream" | "name">, ...flags: readonly string[]): string {
  return `nats consumer edit ${stream} ${name} ${flags.join(" ")}`;
}

function warningOf(differences: readonly Difference[], wanted: WantedConsumer): string {
  const whats = differences.map(({ what }) => what).join(", ");
  const command = editCommand(wanted, ...differences.map(({ flag }) => flag));
  return `consumer "${wanted.name}" of stream "${wanted.stream}" differs from the task, whose settings have no effect: ${whats}; change it (${command})`;
}

function differencesOf(config: ConsumerConfig, wanted: WantedConsumer): readonly Difference[] {
  const { ackWait, maxAckPending, maxDeliver, create, explicit } = wanted;
  const counts = (name: keyof typeof explicit) => create || explicit[name];
  const found: Difference[] = [];
  // With a backoff the server goes by that.
  const waits = (config.backoff ?? []).length === 0;
  if (counts("ackWait") && waits && config.ack_wait !== nanoseconds(ackWait)) {
    const what = `its ack_wait is ${seconds(millisecondsOf(config.ack_wait) ?? 0)}, the task's ackWait ${seconds(ackWait)}`;
    found.push({ what, flag: `--wait=${seconds(ackWait)}`, change: { ack_wait: nanoseconds(ackWait) } });
  }
  const pending = config.max_ack_pending ?? -1;
  if (counts("maxAckPending") && pending !== maxAckPending) {
    const what = `its max_ack_pending is ${pending}, the task's maxAckPending ${maxAckPending}`;
    found.push({ what, flag: `--max-pending=${maxAckPending}`, change: { max_ack_pending: maxAckPending } });
  }
  const deliver = config.max_deliver ?? -1;
  if (counts("maxDeliver") && deliver !== maxDeliver) {
    const what = `its max_deliver is ${deliver}, the task's maxDeliver ${maxDeliver}`;
    found.push({ what, flag: `--max-deliver=${maxDeliver}`, change: { max_deliver: maxDeliver } });
  }
  return found;
}

/** A duration as the nats command takes it. */
function seconds(ms: number): string {
  return ms % 1000 === 0 ? `${ms / 1000}s` : `${ms}ms`;
}
