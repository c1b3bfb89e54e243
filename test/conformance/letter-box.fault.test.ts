/** What every place for dead letters promises while its server is killed. */
import assert from "node:assert/strict";
import { describe, it, type TestContext } from "node:test";

import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { Client } from "pg";

import type { SinkSpec } from "../../src/contracts.ts";
import type { LetterBox } from "../../src/dead-letter.ts";
import { PlannedStop } from "../../src/errors.ts";
import { jetstreamSink } from "../../src/sinks/jetstream.ts";
import { kafkaSink } from "../../src/sinks/kafka.ts";
import { createTableText } from "../../src/sinks/letters/sql-table.ts";
import { sqlSink } from "../../src/sinks/sql.ts";
import { letterOf } from "../support/letters.ts";
import { openContext } from "../support/open-context.ts";
import type { Service } from "../support/services/index.ts";
import { startKafka, startNats, startPostgres } from "../support/services/index.ts";
import { until } from "../support/until.ts";

interface Harness {
  readonly name: string;
  readonly start: () => Promise<Service>;
  readonly prepare: (service: Service) => Promise<SinkSpec>;
}

const HARNESSES: readonly Harness[] = [
  {
    name: "PostgreSQL",
    start: startPostgres,
    prepare: async ({ address }) => {
      const client = new Client({ connectionString: address });
      await client.connect();
      await client.query(createTableText("letters"));
      await client.end();
      return sqlSink({ url: address, table: "letters" });
    },
  },
  {
    name: "JetStream",
    start: startNats,
    prepare: async ({ address }) => {
      const client = await connect({ servers: address });
      await (await jetstreamManager(client)).streams.add({ name: "letters", subjects: ["letters.>"] });
      await client.close();
      return jetstreamSink({ subject: "letters.dead" });
    },
  },
  { name: "Kafka", start: startKafka, prepare: () => Promise.resolve(kafkaSink({ topic: "letters", create: { partitions: 2 } })) },
];

const never = new AbortController().signal;
const idsIn = async (box: LetterBox) => (await Array.fromAsync(box.read("test", never), ({ id }) => id)).sort();

for (const { name, start, prepare } of HARNESSES) {
  describe(`letter box in trouble: ${name}`, () => {
    async function open(t: TestContext) {
      const service = await start();
      t.after(() => service[Symbol.asyncDispose]());
      const spec = await prepare(service);
      const context = openContext(t, { kafka: service.address, nats: service.address });
      const box = (await spec.openLetters?.(context)) ?? assert.fail("keeps no letters");
      t.after(() => box[Symbol.asyncDispose]());
      return { service, context, box };
    }

    it("waits an outage out, says so, and has each letter once", async (t) => {
      const { service, context, box } = await open(t);
      await box.write([letterOf(0), letterOf(1)], never);
      await service.kill();
      const writing = box.write([letterOf(1), letterOf(2)], never);
      await until("the reason is told", () => context.reasons.at(-1) !== undefined);
      await service.restart();
      await writing;
      assert.deepEqual(await idsIn(box), ["test:0", "test:1", "test:2"]);
      await until("it is told that the outage is over", () => context.reasons.at(-1) === undefined);
      await service.kill();
      const resolving = box.resolve("test", ["test:1"], never);
      await service.restart();
      await resolving;
      assert.deepEqual(await idsIn(box), ["test:0", "test:2"]);
    });

    it("is given up at once while its server is away", async (t) => {
      const { service, box } = await open(t);
      await service.kill();
      const controller = new AbortController();
      const reason = new PlannedStop("test");
      const writing = assert.rejects(box.write([letterOf(0)], controller.signal), (error) => error === reason);
      controller.abort(reason);
      await writing;
    });
  });
}
