/** The clock of a daemon's machine is set an hour forward and back under load. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";

import type { WindowFound } from "../faults/window-checker.ts";
import { makeStream, stored, uniqueName } from "../support/jetstream.ts";
import { committedPositions } from "../support/kafka-records.ts";
import { deleteTopic, makeTopic } from "../support/kafka-topics.ts";
import { type KeyedText, writeByKcat } from "../support/kcat.ts";
import { acknowledgedByNats, writeByNats } from "../support/nats-client.ts";
import { Site } from "../support/operated.ts";
import { kafka, nats } from "../support/services/index.ts";
import { judgeWindows, keyedReading, tickAfter, windowsInTopic, withId } from "./readings.ts";

const PRODUCT = fileURLToPath(new URL("../faults/products/fault-windows", import.meta.url));
const CLOCK = new URL("set-clock.ts", import.meta.url).href;
const HOUR = 3_600_000;
/** To what the clock is set after one another: an hour forward, back again, and an hour back. */
const JUMPS = [HOUR, 0, -HOUR];
/** Readings per second. */
const RATE = 500;

interface Ends {
  readonly config: object;
  readonly settings: object;
  write(records: Iterable<KeyedText> | AsyncIterable<KeyedText>): Promise<void>;
  done(): Promise<number>;
  read(): Promise<readonly (WindowFound | undefined)[]>;
}

const BROKERS: Readonly<Record<string, (t: TestContext) => Promise<Ends>>> = { Kafka: kafkaEnds, JetStream: natsEnds };

for (const [name, make] of Object.entries(BROKERS)) {
  test(`${name}: checkpoints, positions and windows go on while the clock is set, and no worker is replaced`, async (t) => {
    const ends = await make(t);
    const site = new Site(t, {
      products: [PRODUCT],
      settings: { ...ends.settings, worker: { heartbeat: "60s" } },
      tasks: { windows: { product: "fault-windows", config: ends.config } },
    });
    const setClock = (ahead: number) => site.write("clock", String(ahead));
    setClock(0);
    const running = site.start({ env: { MILLRACE_TEST_CLOCK: join(site.folder, "clock"), NODE_OPTIONS: `--import=${CLOCK}` } });
    const load = new Load(t);
    const writing = ends.write(load.records());
    const goesOn = async (when: string) => {
      // The group or consumer may not be there yet.
      const { done: before } = await running.until(`something can be told ${when}`, async () => ({ done: await ends.done() }));
      await running.until(`positions are committed ${when}`, async () => (await ends.done()) > before + RATE);
    };
    await goesOn("before the clock is set");
    const workers = await running.workers();
    for (const ahead of JUMPS) {
      setClock(ahead);
      for (let time = 0; time < 2; time++) await goesOn(`with the clock ${ahead / HOUR} hours ahead`);
    }
    const count = load.end();
    await writing;
    await ends.write([tickAfter(count)]);
    await running.until("all is done", async () => (await ends.done()) === count + 1);
    assert.deepEqual(await running.workers(), workers);
    assert.deepEqual(
      (await running.task("windows"))?.instances.map(({ restarts, state }) => [state, restarts]),
      [["running", 0]],
    );
    assert.equal((await running.stop()).code, 0, running.output);
    const { figures, examples } = judgeWindows(count, await ends.read());
    t.diagnostic(`${count} readings, ${JSON.stringify(figures)}`);
    assert.deepEqual([figures.windowErrors, figures.windowRepeats], [0, 0], examples.join("\n"));
  });
}

/** Readings at a steady rate until it is ended. */
class Load {
  #made = 0;
  #ended = false;

  constructor(t: TestContext) {
    t.after(() => {
      this.#ended = true;
    });
  }

  async *records(): AsyncGenerator<KeyedText> {
    const begin = performance.now();
    while (!this.#ended) {
      const due = Math.floor(((performance.now() - begin) / 1000) * RATE);
      while (this.#made < due && !this.#ended) yield keyedReading(this.#made++);
      await delay(10);
    }
  }

  /** Gives how many there were. */
  end(): number {
    this.#ended = true;
    return this.#made;
  }
}

async function kafkaEnds(t: TestContext): Promise<Ends> {
  const address = await kafka();
  const [input, output] = [await makeTopic(address, 1), await makeTopic(address, 1)];
  t.after(async () => {
    await deleteTopic(address, input);
    await deleteTopic(address, output);
  });
  return {
    config: { input: { kafka: { topic: input } }, output: { kafka: { topic: output } } },
    settings: { kafka: { brokers: address.split(",") }, checkpoint: { interval: "1s", store: { file: { path: "checkpoints" } } } },
    write: (records) => writeByKcat(address, input, records),
    done: async () => (await committedPositions(address, "millrace-windows", input)).get(0) ?? 0,
    read: () => windowsInTopic(address, output),
  };
}

async function natsEnds(t: TestContext): Promise<Ends> {
  const address = await nats();
  const [input, output] = [await makeStream(t, address), await makeStream(t, address)];
  const subject = `${input}.readings`;
  return {
    config: { input: { jetstream: { stream: input, create: true } }, output: { jetstream: { subject: `${output}.all` } } },
    settings: {
      nats: { servers: [address] },
      checkpoint: { interval: "1s", store: { natsKv: { bucket: uniqueName("checkpoints") } } },
    },
    write: (records) => writeByNats(address, input, onSubject(subject, records)),
    done: () => acknowledgedByNats(address, input, "millrace-windows"),
    read: async () => (await stored(t, address, output)).map(({ text, headers }) => withId(text, headers["Nats-Msg-Id"]?.[0])),
  };
}

async function* onSubject(subject: string, records: Iterable<KeyedText> | AsyncIterable<KeyedText>) {
  for await (const record of records) yield { subject, ...record };
}
