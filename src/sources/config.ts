import { z } from "zod";

import type { SourceSpec } from "../contracts.ts";
import { fileSource, fileSourceConfig } from "./file.ts";
import { generatorSource, generatorSourceConfig } from "./generator.ts";
import { jetstreamSource, jetstreamSourceConfig } from "./jetstream.ts";
import { kafkaSource, kafkaSourceConfig } from "./kafka.ts";

/** For a product's config: any source, as `{ kafka: { … } }`, `{ jetstream: { … } }`, `{ file: { … } }` or `{ generator: { … } }`. */
export const sourceConfig = z
  .strictObject({
    kafka: kafkaSourceConfig.optional(),
    jetstream: jetstreamSourceConfig.optional(),
    file: fileSourceConfig.optional(),
    generator: generatorSourceConfig.optional(),
  })
  .refine((config) => Object.values(config).filter((value) => value !== undefined).length === 1, {
    error: "give exactly one source: kafka, jetstream, file or generator",
  });

/** What a task gives where a product's config has `sourceConfig`. */
export type SourceConfig = z.input<typeof sourceConfig>;

/** The source that a config names. What a record's value is depends on its format: `decode` takes all of them. */
export function source(config: SourceConfig): SourceSpec {
  if (config.kafka !== undefined) return kafkaSource(config.kafka);
  if (config.jetstream !== undefined) return jetstreamSource(config.jetstream);
  if (config.file !== undefined) return fileSource(config.file);
  return generatorSource(config.generator ?? {});
}
