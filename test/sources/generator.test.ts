import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";

import type { Batch, Event } from "../../src/batch.ts";
import { END_OF_INPUT } from "../../src/batch.ts";
import type { Clock } from "../../src/clock.ts";
import { generatorSource, generatorSourceConfig, type GeneratorSourceSettings } from "../../src/sources/generator.ts";
import { VirtualClock } from "../../src/virtual-clock.ts";
import { openContext } from "../support/open-context.ts";
import { until } from "../support/until.ts";

async function* read(t: TestContext, settings: GeneratorSourceSettings, stop: AbortSignal, clock?: Clock): AsyncGenerator<Batch> {
  const context = openContext(t, clock === undefined ? {} : { clock });
  await using source = await generatorSource(settings).open(context, { stateful: false });
  for await (const partition of source.partitions(stop)) yield* partition.read(undefined);
}

async function all(t: TestContext, settings: GeneratorSourceSettings): Promise<Event[]> {
  const events: Event[] = [];
  for await (const batch of read(t, settings, new AbortController().signal)) events.push(...batch.events);
  return events;
}

const texts = (events: readonly Event[]) => events.map(({ value }) => String(value));

test("with a format readings are decoded there", async (t) => {
  const [bytes] = await all(t, { count: 1 });
  const [decoded] = await all(t, { count: 1, format: "json" });
  assert.deepEqual(decoded?.value, JSON.parse(String(bytes?.value)));
});

test("a reading tells its number, key and time, and the event has the same", async (t) => {
  const events = await all(t, { count: 3, keys: 4, start: 5000, step: 250, padding: 3 });
  for (const [index, event] of events.entries()) {
    const reading = JSON.parse(String(event.value)) as Record<string, unknown>;
    assert.deepEqual(Object.keys(reading), ["sequence", "key", "at", "value", "padding"]);
    assert.equal(reading["sequence"], index);
    assert.equal(reading["at"], 5000 + index * 250);
    assert.equal(reading["padding"], "xxx");
    assert.equal(event.time, reading["at"]);
    assert.equal(event.key, reading["key"]);
    assert.match(String(event.key), /^key-[0-3]$/);
    assert.equal(event.size, (event.value as Buffer).length);
  }
});

test("the same seed gives the same readings, another one gives others, of all keys", async (t) => {
  const first = texts(await all(t, { count: 2000 }));
  assert.deepEqual(texts(await all(t, { count: 2000 })), first);
  const other = await all(t, { count: 2000, seed: 2 });
  assert.notDeepEqual(texts(other), first);
  const perKey = Map.groupBy(other, ({ key }) => key);
  assert.equal(perKey.size, 10);
  for (const events of perKey.values()) assert.ok(events.length > 120 && events.length < 280);
});

test("a rate is kept by the clock, after a delay as well", async (t) => {
  const clock = new VirtualClock(0);
  const stop = new AbortController();
  let count = 0;
  const done = (async () => {
    for await (const { events } of read(t, { rate: 10 }, stop.signal, clock)) count += events.length;
  })();
  const waits = () => until("it waits", () => clock.next !== undefined);
  await until("the first one comes at once", () => count === 1);
  await waits();
  await clock.advance(99);
  assert.equal(count, 1);
  await clock.advance(1);
  await until("the second is due", () => count === 2);
  await waits();
  await clock.advance(100);
  await until("the third is due", () => count === 3);
  await waits();
  // As after a pause at a breakpoint: the clock went on without it.
  await clock.advance(1);
  stop.abort();
  await done;
});

test("a rate of none gives an empty batch every second, and nothing else", async (t) => {
  const clock = new VirtualClock(0);
  const stop = new AbortController();
  const at: number[] = [];
  const done = (async () => {
    for await (const { events } of read(t, { rate: 0 }, stop.signal, clock)) {
      assert.equal(events.length, 0);
      at.push(clock.now());
    }
  })();
  for (const seconds of [0, 1, 2]) {
    await until("a batch", () => at.length === seconds + 1 && clock.next !== undefined);
    assert.equal(clock.next, seconds * 1000 + 1000);
    await clock.advance(1000);
  }
  stop.abort();
  await done;
  assert.deepEqual(at.slice(0, 3), [0, 1000, 2000]);
});

test("without rate and end it leaves the process its timers", async (t) => {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 20);
  let count = 0;
  for await (const { events, watermark } of read(t, {}, stop.signal)) {
    count += events.length;
    assert.notEqual(watermark, END_OF_INPUT);
    assert.ok(count < 50_000_000, "the timer never came");
  }
  clearTimeout(timer);
  assert.ok(count > 0);
});

test("settings that can't be are refused", () => {
  for (const settings of [{ count: -1 }, { rate: -1 }, { keys: 0 }, { padding: 2_000_000 }, { speed: 1 }]) {
    assert.equal(generatorSourceConfig.safeParse(settings).success, false, JSON.stringify(settings));
  }
});

test("a batch has no more bytes than other sources give, however large its events are", async (t) => {
  for await (const { events } of read(t, { count: 40, padding: 100_000 }, new AbortController().signal)) {
    const bytes = events.reduce((sum, event) => sum + event.size, 0);
    assert.ok(bytes <= 1_200_000, `${bytes} bytes in a batch`);
  }
});
