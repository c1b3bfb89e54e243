/** Brokers and databases that a run owns, each behind a proxy through which the daemon knows it. */
import { type KafkaService, type Service, startKafka, startNats, startPostgres, startRedis } from "../support/services/index.ts";
import { freePort } from "../support/services/ports.ts";
import type { Owner } from "../support/temp-folder.ts";
import { TcpProxy } from "./tcp-proxy.ts";

export type ServiceName = "kafka" | "nats" | "redis" | "postgres";

/** What was started. */
export interface OwnServices {
  readonly services: ReadonlyMap<ServiceName, Service>;
  /** Without one before several brokers of Kafka. */
  readonly proxies: ReadonlyMap<ServiceName, TcpProxy>;
  /** Kafka's, each by itself; none where there is no Kafka. */
  readonly brokers: readonly Service[];
  /** Past the proxies, for generators and readers. */
  readonly addresses: Readonly<Record<ServiceName, string>>;
  /** Through the proxies: settings of the daemon. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Through the proxy. */
  readonly postgresUrl: string;
}

/**
 * Starts them together; the owner ends them.
 * @param brokerCount how many brokers Kafka has; default 1
 */
export async function startOwnServices(owner: Owner, names: ReadonlySet<ServiceName>, brokerCount = 1): Promise<OwnServices> {
  const services = new Map<ServiceName, Service>();
  const proxies = new Map<ServiceName, TcpProxy>();
  let brokers: readonly Service[] = [];
  const starts = [...names].map(async (name) => {
    const [service, proxy] = await (name === "kafka" ? startBrokers(brokerCount) : START[name]());
    owner.after(() => service[Symbol.asyncDispose]());
    owner.after(() => proxy?.[Symbol.asyncDispose]());
    services.set(name, service);
    if (proxy !== undefined) proxies.set(name, proxy);
    if ("brokers" in service) brokers = service.brokers;
  });
  for (const start of await Promise.allSettled(starts)) if (start.status === "rejected") throw start.reason;
  const addressOf = (name: ServiceName) => services.get(name)?.address ?? "";
  const proxied = (name: ServiceName) => proxies.get(name)?.address ?? addressOf(name);
  const settings = {
    ...(names.has("kafka") ? { kafka: { brokers: proxied("kafka").split(",") } } : {}),
    ...(names.has("nats") ? { nats: { servers: [`nats://${proxied("nats")}`] } } : {}),
    ...(names.has("redis") ? { redis: { url: `redis://${proxied("redis")}` } } : {}),
  };
  const addresses = { kafka: addressOf("kafka"), nats: addressOf("nats"), redis: addressOf("redis"), postgres: addressOf("postgres") };
  return { services, proxies, brokers, addresses, settings, postgresUrl: `postgres://postgres@${proxied("postgres")}/postgres` };
}

async function startBrokers(count: number): Promise<readonly [KafkaService, TcpProxy | undefined]> {
  if (count > 1) return [await startKafka({ brokers: count, heap: 384 }), undefined];
  // Its clients go where it tells them to, so it must know its proxy.
  const proxyPort = await freePort();
  const kafka = await startKafka({ proxyPort });
  return [kafka, await TcpProxy.start(kafka.behindProxy ?? "", proxyPort)];
}

const START: Readonly<Record<Exclude<ServiceName, "kafka">, () => Promise<readonly [Service, TcpProxy]>>> = {
  nats: async () => await behindProxy(await startNats()),
  redis: async () => await behindProxy(await startRedis()),
  postgres: async () => await behindProxy(await startPostgres()),
};

async function behindProxy(service: Service): Promise<readonly [Service, TcpProxy]> {
  return [service, await TcpProxy.start(new URL(service.address).host, await freePort())];
}
