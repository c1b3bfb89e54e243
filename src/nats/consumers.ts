/** Streams and durable consumers: found, created where the task says so, and checked. */
import type { ConsumerConfig, ConsumerInfo, JetStreamManager, PriorityPolicy, StreamInfo } from "@nats-io/jetstream";
import { AckPolicy, DeliverPolicy, JetStreamApiError, RetentionPolicy } from "@nats-io/jetstream";

import type { StartAt } from "../connections.ts";
import { ConfigError, NotReadyError } from "../errors.ts";
import type { JetStreamApi } from "./api.ts";
import { ApiCode, isMissing, isStreamMissing, refused } from "./api.ts";

/** The priority group of consumers that one client owns. */
export const GROUP = "millrace";

/** The priority policy by which the server delivers to one client until that is silent for too long (nats-server 2.11, ADR-42). */
const PINNED: PriorityPolicy = "pinned_client";

/** What a task wants of its consumer. Times in milliseconds. */
export interface WantedConsumer {
  readonly task: string;
  readonly stream: string;
  readonly name: string;
  /** Empty: everything in the stream. */
  readonly subjects: readonly string[];
  readonly create: boolean;
  readonly from: StartAt;
  readonly ackWait: number;
  readonly maxAckPending: number;
  readonly maxDeliver: number;
  /** Which of them the task gives itself, and does not leave to their defaults. */
  readonly explicit: Readonly<Record<"ackWait" | "maxAckPending" | "maxDeliver", boolean>>;
  /** Whether one instance at a time owns it, instead of all sharing it. */
  readonly owned: boolean;
  /** How long an owner may be silent until another takes over. */
  readonly takeover: number;
}

/** Where a consumer that was there before is to go on. */
export interface Resume {
  /** Everything up to this sequence number is done. */
  readonly after: number;
  /** When the stream was created that the number belongs to. */
  readonly created: string;
}

/**
 * The stream, created when it is missing and `create` says so.
 * @throws {NotReadyError} when it is missing
 */
export async function ensureStream(
  api: JetStreamApi,
  signal: AbortSignal,
  wanted: { readonly stream: string; readonly subjects: readonly string[]; readonly create: boolean },
): Promise<StreamInfo> {
  const { stream, subjects, create } = wanted;
  try {
    return await api.ask(signal, async ({ streams }) => {
      try {
        return await streams.info(stream);
      } catch (error) {
        if (!isStreamMissing(error) || !create || subjects.length === 0) throw error;
        return createStream(streams, stream, subjects);
      }
    });
  } catch (error) {
    if (!isStreamMissing(error)) throw refused(`stream "${stream}"`, error);
    const listed = subjects.length === 0 ? "SUBJECTS" : subjects.join(",");
    const remedy = create ? "name its `subject` so that it can be created" : "or set `create: true`";
    throw new NotReadyError(`JetStream has no stream "${stream}": create it (nats stream add ${stream} --subjects "${listed}"), ${remedy}`);
  }
}

async function createStream(streams: JetStreamManager["streams"], name: string, subjects: readonly string[]): Promise<StreamInfo> {
  try {
    return await streams.add({ name, subjects: [...subjects] });
  } catch (error) {
    // Another instance was faster.
    if (error instanceof JetStreamApiError && error.code === ApiCode.streamNameInUse) return streams.info(name);
    throw error;
  }
}

/**
 * The durable consumer, created when it is missing and `create` says so.
 * @throws {NotReadyError} when it is missing
 * @throws {ConfigError} when it is there but can't do what the task needs
 */
export async function ensureConsumer(
  api: JetStreamApi,
  signal: AbortSignal,
  wanted: WantedConsumer,
  resume: Resume | undefined,
): Promise<{ readonly info: ConsumerInfo; readonly stream: StreamInfo }> {
  const stream = await ensureStream(api, signal, wanted);
  if (wanted.owned) refuseWorkQueue(stream, wanted.task, "a pipeline that keeps state acknowledges all up to a message at once");
  let info: ConsumerInfo;
  try {
    info = await api.ask(signal, async ({ consumers }) => {
      try {
        return await consumers.info(wanted.stream, wanted.name);
      } catch (error) {
        if (!isMissing(error) || !wanted.create) throw error;
        return createConsumer(consumers, wanted, firstSequence(stream, wanted.from, resume));
      }
    });
  } catch (error) {
    if (!isMissing(error)) throw refused(`consumer "${wanted.name}" of stream "${wanted.stream}"`, error);
    throw new NotReadyError(
      `stream "${wanted.stream}" has no durable consumer "${wanted.name}": create it (${createCommand(wanted)}), or set \`create: true\``,
    );
  }
  checkConsumer(info.config, wanted);
  return { info, stream };
}

/**
 * A work queue takes only consumers that acknowledge each message by itself.
 * @param why what the task does instead
 * @throws {ConfigError} when the stream is one
 */
export function refuseWorkQueue({ config }: StreamInfo, task: string, why: string, remedy = ""): void {
  if (config.retention !== RetentionPolicy.Workqueue) return;
  const what = `it is a work queue (retention workqueue), where each message must be acknowledged by itself, but ${why}; read a stream with the retention limits or interest${remedy}`;
  throw new ConfigError([{ where: `task ${task}: stream "${config.name}"`, what }]);
}

function firstSequence(stream: StreamInfo, from: StartAt, resume: Resume | undefined): number {
  // Everything in a stream that was made anew came after the task had begun.
  if (resume !== undefined) return resume.created === stream.created ? resume.after + 1 : 1;
  return from === "earliest" ? 1 : stream.state.last_seq + 1;
}

async function createConsumer(consumers: JetStreamManager["consumers"], wanted: WantedConsumer, first: number): Promise<ConsumerInfo> {
  try {
    return await consumers.add(wanted.stream, { ...consumerConfig(wanted), ...startConfig(first) });
  } catch (error) {
    const exists: readonly number[] = [ApiCode.consumerExists, ApiCode.consumerNameInUse];
    if (error instanceof JetStreamApiError && exists.includes(error.code)) return consumers.info(wanted.stream, wanted.name);
    throw error;
  }
}

/** Where a consumer begins. A start by sequence, and not `new`, lets it be set back to there later. */
export function startConfig(first: number): Pick<ConsumerConfig, "deliver_policy" | "opt_start_seq"> {
  return first <= 1 ? { deliver_policy: DeliverPolicy.All } : { deliver_policy: DeliverPolicy.StartSequence, opt_start_seq: first };
}

/** The filter of a consumer. */
export function filterConfig(subjects: readonly string[]): Pick<ConsumerConfig, "filter_subject" | "filter_subjects"> {
  if (subjects.length === 0) return {};
  return subjects.length === 1 ? { filter_subject: subjects[0] as string } : { filter_subjects: [...subjects] };
}

function consumerConfig(wanted: WantedConsumer): Partial<ConsumerConfig> {
  return {
    name: wanted.name,
    durable_name: wanted.name,
    description: `Millrace task ${wanted.task}`,
    ...filterConfig(wanted.subjects),
    ack_wait: nanoseconds(wanted.ackWait),
    max_ack_pending: wanted.maxAckPending,
    max_deliver: wanted.maxDeliver,
    ...(wanted.owned
      ? {
          ack_policy: AckPolicy.All,
          priority_groups: [GROUP],
          priority_policy: PINNED,
          priority_timeout: nanoseconds(wanted.takeover),
        }
      : { ack_policy: AckPolicy.Explicit }),
  };
}

function createCommand(wanted: WantedConsumer): string {
  const filter = wanted.subjects.map((subject) => ` --filter "${subject}"`).join("");
  const start = wanted.from === "earliest" ? "all" : "new";
  const ack = wanted.owned ? "all --max-pending=-1 --pinned-groups millrace --pinned-ttl 30s" : "explicit";
  return `nats consumer add ${wanted.stream} ${wanted.name} --pull --deliver ${start}${filter} --ack ${ack}`;
}

/** @throws {ConfigError} naming everything of an existing consumer that does not fit */
function checkConsumer(config: ConsumerConfig, wanted: WantedConsumer): void {
  const wrong: string[] = [];
  if (config.deliver_subject !== undefined) wrong.push("it pushes (deliver_subject); a pull consumer is needed");
  const policy = wanted.owned ? AckPolicy.All : AckPolicy.Explicit;
  const why = wanted.owned ? "one instance owns the consumer because the pipeline keeps state" : "instances share the consumer";
  if (config.ack_policy !== policy) wrong.push(`its ack_policy is ${config.ack_policy}; ${why}, which needs ${policy}`);
  const pinned = config.priority_policy === PINNED;
  if (wanted.owned && !(pinned && config.priority_groups?.includes(GROUP) === true)) {
    wrong.push(`it has no priority_policy pinned_client with the group "${GROUP}", by which one instance owns it`);
  }
  if (!wanted.owned && (config.priority_groups?.length ?? 0) > 0)
    wrong.push("it has priority_groups; only a pipeline that keeps state uses them");
  const filter = (config.filter_subjects ?? [config.filter_subject ?? ""]).filter((subject) => subject !== "" && subject !== ">");
  if (
    wanted.subjects.length > 0 &&
    !sameSet(
      filter,
      wanted.subjects.filter((subject) => subject !== ">"),
    )
  ) {
    wrong.push(`it filters ${filter.join(", ") || "nothing"}; the task wants ${wanted.subjects.join(", ")}`);
  }
  if (wrong.length === 0) return;
  const remedy = "give the task another `consumer`, or delete this one so that it can be created anew";
  throw new ConfigError(
    wrong.map((what) => ({
      where: `task ${wanted.task}: consumer "${wanted.name}" of stream "${wanted.stream}"`,
      what: `${what}; ${remedy}`,
    })),
  );
}

function sameSet(a: readonly string[], b: readonly string[]): boolean {
  return a.length === b.length && a.every((item) => b.includes(item));
}

export function nanoseconds(ms: number): number {
  return ms < 0 ? ms : ms * 1_000_000;
}

export function millisecondsOf(nanos: number | undefined): number | undefined {
  return nanos === undefined ? undefined : nanos / 1_000_000;
}
