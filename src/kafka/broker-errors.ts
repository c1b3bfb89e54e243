/**
 * What the errors of the Kafka clients mean. Both nest them: in `errors`, in `cause`.
 */
import type { KafkaConnection } from "../connections.ts";
import { messageOf } from "../errors.ts";
import { brokersOf } from "./client-options.ts";

const SESSION_LIMITS =
  "sessionTimeout of the kafka source is not between the brokers' group.min.session.timeout.ms and group.max.session.timeout.ms; change it";

/** The name of the broker's error code in whatever a client threw, such as `UNKNOWN_MEMBER_ID`; undefined when there is none. */
export function brokerErrorName(thrown: unknown): string | undefined {
  for (const error of nested(thrown)) {
    const { apiId, type } = error as { apiId?: unknown; type?: unknown };
    if (typeof apiId === "string") return apiId;
    if (typeof type === "string" && /^[A-Z][A-Z_]+$/.test(type)) return type;
  }
  return undefined;
}

/** Why brokers can't be worked with, in words for the operator. Names hosts, never credentials. */
export function brokerTrouble(thrown: unknown, connection: KafkaConnection): string {
  const at = `Kafka (${brokersOf(connection)})`;
  const codes = new Map<string, Error & NodeJS.ErrnoException & { hostname?: string }>();
  for (const error of nested(thrown)) {
    const { code } = error as NodeJS.ErrnoException;
    if (typeof code === "string") codes.set(code, error);
  }
  const unresolved = codes.get("ENOTFOUND") ?? codes.get("EAI_AGAIN");
  if (unresolved !== undefined) {
    // kafkajs keeps the name in the message only.
    const host = unresolved.hostname ?? /(?:ENOTFOUND|EAI_AGAIN) (\S+)/.exec(unresolved.message)?.[1] ?? "of a broker";
    return `${at}: the host name ${host} does not resolve; check kafka.brokers`;
  }
  if (codes.has("ECONNREFUSED")) return `${at}: connection refused`;
  const authentication = [...nested(thrown)].find((error) => /authenticat/i.test(error.message));
  if (authentication !== undefined) return `${at}: ${authentication.message.replace(/\.$/, "")}; check kafka.sasl`;
  const name = brokerErrorName(thrown);
  if (name === "INVALID_SESSION_TIMEOUT") return `${at} answers ${name}: ${SESSION_LIMITS}`;
  if (name !== undefined) return `${at} answers ${name}`;
  const deepest = [...nested(thrown)].at(-1);
  return `${at}: ${deepest === undefined ? messageOf(thrown) : messageOf(deepest)}`;
}

/** What is wrong with a partition that no broker leads, for the operator. */
export function leaderless(partition: string): string {
  return `partition ${partition} has no leader: the brokers that have it are down`;
}

/** The error and all that it holds, outermost first. */
export function* nested(thrown: unknown): Generator<Error> {
  if (!(thrown instanceof Error)) return;
  yield thrown;
  // kafkajs has an aggregate of its own.
  const { errors } = thrown as { errors?: unknown };
  if (Array.isArray(errors)) for (const inner of errors) yield* nested(inner);
  yield* nested(thrown.cause);
  // kafkajs names the error that made it give up so.
  yield* nested((thrown as { originalError?: unknown }).originalError);
}
