/**
 * One Kafka, nats-server, Redis and PostgreSQL for all tests of a run. Tests share them, so they name what they make uniquely,
 * and neither end nor freeze them: for that they start one of their own.
 */
import type { ComposeServices, SharedName } from "./compose.ts";
import { hasDockerCompose, startByCompose } from "./compose.ts";
import { startKafka } from "./kafka.ts";
import { startNats } from "./nats.ts";
import { startPostgres } from "./postgres.ts";
import { startRedis } from "./redis.ts";

/** The environment variables that name running services. */
export const SHARED_VARIABLES: Readonly<Record<SharedName, string>> = {
  kafka: "MILLRACE_TEST_KAFKA",
  nats: "MILLRACE_TEST_NATS",
  redis: "MILLRACE_TEST_REDIS",
  postgres: "MILLRACE_TEST_POSTGRES",
};

const LOCAL: Readonly<Record<SharedName, () => Promise<Started>>> = {
  kafka: async () => {
    // A broker that many tests share is busy: it must not be taken for dead too soon.
    const properties = { "broker.session.timeout.ms": "18000", "broker.heartbeat.interval.ms": "2000" };
    return await startKafka({ heap: 768, properties });
  },
  nats: async () => await startNats(),
  redis: startRedis,
  postgres: startPostgres,
};

interface Started extends AsyncDisposable {
  readonly address: string;
}

/** The shared services of a run. */
export interface SharedServices extends AsyncDisposable {
  readonly addresses: ReadonlyMap<SharedName, string>;
  /** How each was had, for people: `from MILLRACE_TEST_NATS`, `a local process`. */
  readonly origins: ReadonlyMap<SharedName, string>;
}

/**
 * Gives these services: the running one that the environment names, else one by `docker compose` where a daemon answers, else
 * a local process. Disposing ends those that were started.
 */
export async function sharedServices(names: readonly SharedName[]): Promise<SharedServices> {
  const addresses = new Map<SharedName, string>();
  const origins = new Map<SharedName, string>();
  await using started = new AsyncDisposableStack();
  const wanted = names.filter((name) => {
    const address = process.env[SHARED_VARIABLES[name]];
    if (address === undefined || address === "") return true;
    addresses.set(name, address);
    origins.set(name, `from ${SHARED_VARIABLES[name]}`);
    return false;
  });
  const composed = wanted.length > 0 && (await hasDockerCompose()) ? await composedOrWarning(wanted) : undefined;
  if (composed !== undefined) started.use(composed);
  const one = async (name: SharedName): Promise<void> => {
    const address = composed?.addresses[name] ?? started.use(await LOCAL[name]()).address;
    addresses.set(name, address);
    origins.set(name, composed === undefined ? "a local process" : "a container");
  };
  const results = await Promise.allSettled(wanted.map(one));
  for (const result of results) if (result.status === "rejected") throw result.reason;
  const kept = started.move();
  return { addresses, origins, [Symbol.asyncDispose]: async () => await kept.disposeAsync() };
}

async function composedOrWarning(names: readonly SharedName[]): Promise<ComposeServices | undefined> {
  try {
    return await startByCompose(names);
  } catch (error) {
    process.emitWarning(`docker compose could not start ${names.join(", ")}, so local processes are tried: ${String(error)}`);
    return undefined;
  }
}

const given = new Map<SharedName, Promise<string>>();

async function shared(name: SharedName): Promise<string> {
  const address =
    given.get(name) ??
    // Never disposed: it ends with this process.
    sharedServices([name]).then(({ addresses }) => addresses.get(name) ?? "");
  given.set(name, address);
  return await address;
}

/** Bootstrap addresses of the shared Kafka: `host:port`, separated by commas. */
export async function kafka(): Promise<string> {
  return await shared("kafka");
}

/** The shared nats-server with JetStream: `nats://host:port`. */
export async function nats(): Promise<string> {
  return await shared("nats");
}

/** The shared Redis: `redis://host:port`. */
export async function redis(): Promise<string> {
  return await shared("redis");
}

/** The shared PostgreSQL: `postgres://user[:password]@host:port/database`. */
export async function postgres(): Promise<string> {
  return await shared("postgres");
}
