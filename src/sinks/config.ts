import { z } from "zod";

import type { SinkSpec } from "../contracts.ts";
import { fileSink, fileSinkConfig } from "./file.ts";
import { jetstreamSink, jetstreamSinkConfig } from "./jetstream.ts";
import { kafkaSink, kafkaSinkConfig } from "./kafka.ts";
import { namedMemorySink } from "./memory.ts";
import { redisSink, redisSinkConfig } from "./redis.ts";
import { sqlSink, sqlSinkConfig } from "./sql.ts";

/** For a product's config: any sink, as `{ kafka: { … } }`, `{ jetstream }`, `{ file }`, `{ sql }`, `{ redis }` or `{ memory }`. */
export const sinkConfig = z
  .strictObject({
    kafka: kafkaSinkConfig.optional(),
    jetstream: jetstreamSinkConfig.optional(),
    file: fileSinkConfig.optional(),
    sql: sqlSinkConfig.optional(),
    redis: redisSinkConfig.optional(),
    memory: z.strictObject({ name: z.string().min(1) }).optional(),
  })
  .refine((config) => Object.values(config).filter((value) => value !== undefined).length === 1, {
    error: "give exactly one sink: kafka, jetstream, file, sql, redis or memory",
  });

/** What a task gives where a product's config has `sinkConfig`. */
export type SinkConfig = z.input<typeof sinkConfig>;

/** The sink that a config names. */
export function sink(config: SinkConfig): SinkSpec {
  if (config.kafka !== undefined) return kafkaSink(config.kafka);
  if (config.jetstream !== undefined) return jetstreamSink(config.jetstream);
  if (config.file !== undefined) return fileSink(config.file);
  if (config.sql !== undefined) return sqlSink(config.sql);
  if (config.redis !== undefined) return redisSink(config.redis);
  return namedMemorySink(config.memory?.name ?? "");
}
