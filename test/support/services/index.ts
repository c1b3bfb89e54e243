/** Brokers and databases for tests. */
export type { Certificates } from "./certificates.ts";
export { kcat } from "./install.ts";
export type { KafkaOptions, KafkaService } from "./kafka.ts";
export { startKafka } from "./kafka.ts";
export type { Service } from "./local-process.ts";
export type { NatsOptions, NatsService } from "./nats.ts";
export { startNats } from "./nats.ts";
export { startPostgres } from "./postgres.ts";
export { startRedis } from "./redis.ts";
export type { SharedServices } from "./shared.ts";
export { kafka, nats, postgres, redis, SHARED_VARIABLES, sharedServices } from "./shared.ts";
