/** Brokers and databases that a run owns, each behind a proxy through which the daemon knows it. */
import { type Service, startKafka, startNats, startPostgres, startRedis } from "../support/services/index.ts";
import { freePort } from "../support/services/ports.ts";
import type { Owner } from "../support/temp-folder.ts";
import { TcpProxy } from "./tcp-proxy.ts";

export type ServiceName = "kafka" | "nats" | "redis" | "postgres";

/** What was started. */
export interface OwnServices {
  readonly services: ReadonlyMap<ServiceName, Service>;
  readonly proxies: ReadonlyMap<ServiceName, TcpProxy>;
  /** Past the proxies, for generators and readers. */
  readonly addresses: Readonly<Record<ServiceName, string>>;
  /** Through the proxies: settings of the daemon. */
  readonly settings: Readonly<Record<string, unknown>>;
  /** Through the proxy. */
  readonly postgresUrl: string;
}

/** Starts them together; the owner ends them. */
export async function startOwnServices(owner: Owner, names: ReadonlySet<ServiceName>): Promise<OwnServices> {
  const services = new Map<ServiceName, Service>();
  const proxies = new Map<ServiceName, TcpProxy>();
  const starts = [...names].map(async (name) => {
    const [service, proxy] = await START[name]();
    owner.after(() => service[Symbol.asyncDispose]());
    owner.after(() => proxy[Symbol.asyncDispose]());
    services.set(name, service);
    proxies.set(name, proxy);
  });
  for (const start of await Promise.allSettled(starts)) if (start.status === "rejected") throw start.reason;
  const addressOf = (name: ServiceName) => services.get(name)?.address ?? "";
  const proxied = (name: ServiceName) => proxies.get(name)?.address ?? "";
  const settings = {
    ...(names.has("kafka") ? { kafka: { brokers: [proxied("kafka")] } } : {}),
    ...(names.has("nats") ? { nats: { servers: [`nats://${proxied("nats")}`] } } : {}),
    ...(names.has("redis") ? { redis: { url: `redis://${proxied("redis")}` } } : {}),
  };
  const addresses = { kafka: addressOf("kafka"), nats: addressOf("nats"), redis: addressOf("redis"), postgres: addressOf("postgres") };
  return { services, proxies, addresses, settings, postgresUrl: `postgres://postgres@${proxied("postgres")}/postgres` };
}

const START: Readonly<Record<ServiceName, () => Promise<readonly [Service, TcpProxy]>>> = {
  kafka: async () => {
    // Its clients go where it tells them to, so it must know its proxy.
    const proxyPort = await freePort();
    const kafka = await startKafka({ proxyPort });
    return [kafka, await TcpProxy.start(kafka.behindProxy ?? "", proxyPort)];
  },
  nats: async () => await behindProxy(await startNats()),
  redis: async () => await behindProxy(await startRedis()),
  postgres: async () => await behindProxy(await startPostgres()),
};

async function behindProxy(service: Service): Promise<readonly [Service, TcpProxy]> {
  return [service, await TcpProxy.start(new URL(service.address).host, await freePort())];
}
