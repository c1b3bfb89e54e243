/** The checker itself: it passes what is right, and finds every error that is planted. */
import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import { check, type Found, type Promises, type Verdict } from "./checker.ts";
import type { LedgerEntry } from "./ledger.ts";
import type { FaultRecord } from "./record.ts";
import type { WindowFound } from "./window-checker.ts";

const LENGTH = 10_000;
const PROMISES: Promises = { order: "by key", window: LENGTH };

interface Run {
  readonly ledger: readonly LedgerEntry[];
  readonly found: Found & Complete;
}

interface Complete {
  readonly delivered: readonly FaultRecord[];
  readonly windows: readonly WindowFound[];
}

/** A run without errors: some sends have an unknown end, kills make the pipeline go back and deliver again. */
const cleanRun: fc.Arbitrary<Run> = fc
  .record({
    fates: fc.array(fc.constantFrom<FaultRecord["fate"]>("keep", "keep", "keep", "keep", "filter", "poison"), {
      minLength: 20,
      maxLength: 120,
    }),
    keys: fc.integer({ min: 1, max: 5 }),
    unknown: fc.array(fc.record({ index: fc.nat(119), there: fc.boolean() }), { maxLength: 10 }),
    kills: fc.array(fc.record({ at: fc.nat(119), back: fc.integer({ min: 1, max: 20 }) }), { maxLength: 3 }),
  })
  .map(({ fates, keys, unknown, kills }) => {
    // The first is always there, so that there is something to spoil.
    const records = fates.map((fate, n): FaultRecord => {
      return { run: "r", key: `k${n % keys}`, seq: Math.floor(n / keys), at: n * 700, fate: n === 0 ? "keep" : fate };
    });
    const doubt = new Map(unknown.filter(({ index }) => index > 0).map(({ index, there }) => [index, there]));
    const ledger = records.map((record, n): LedgerEntry => ({ record, standing: doubt.has(n) ? "unknown" : "acknowledged" }));
    const input = records.filter((_, n) => doubt.get(n) !== false);
    const delivered: FaultRecord[] = [];
    const left = new Map(kills.map(({ at, back }) => [at, back]));
    for (let n = 0; n < input.length; n++) {
      const record = input[n] as FaultRecord;
      if (record.fate === "keep") delivered.push(record);
      const back = left.get(n);
      left.delete(n);
      if (back !== undefined) n = Math.max(-1, n - back);
    }
    const letters = input.filter(({ fate }) => fate === "poison");
    return { ledger, found: { input, delivered, letters, windows: windowsOf(input) } };
  });

function windowsOf(input: readonly FaultRecord[]): readonly WindowFound[] {
  const kept = input.filter(({ fate }) => fate === "keep");
  const groups = Map.groupBy(kept, ({ key, at }) => `${key} ${Math.floor(at / LENGTH) * LENGTH}`);
  return [...groups].map(([place, records]): WindowFound => {
    const [key = "", start = ""] = place.split(" ");
    const sum = records.reduce((total, { seq }) => total + seq, 0);
    return { key, start: Number(start), end: Number(start) + LENGTH, count: records.length, sum, id: place };
  });
}

const pick = fc.nat();

/** What is spoiled, and in which figure of the verdict it must show. */
const PLANTED: Readonly<
  Record<string, readonly [spoil: (run: Run, at: number) => Partial<Found> | undefined, figure: keyof Verdict, most?: number]>
> = {
  "a record that never arrives": [({ found }, at) => without(found, at), "lost"],
  "a letter that is missing": [
    ({ found }) => (found.letters?.length === 0 ? undefined : { letters: found.letters?.slice(1) ?? [] }),
    "lost",
  ],
  "a letter of a sound record": [({ found }, at) => ({ letters: [...(found.letters ?? []), oneOf(found.delivered, at)] }), "wrongLetters"],
  "a record that was never written": [({ found }, at) => insert(found, at, { ...oneOf(found.delivered, at), seq: 100_000 }), "phantoms"],
  "a record with another time": [({ found }, at) => insert(found, at, { ...oneOf(found.delivered, at), at: -1 }), "phantoms"],
  "a damaged text": [({ found }, at) => insert(found, at, undefined), "phantoms"],
  "a record that the filter drops": [
    ({ found }, at) => {
      const dropped = found.input.find(({ fate }) => fate === "filter");
      return dropped && insert(found, at, dropped);
    },
    "phantoms",
  ],
  "two first deliveries of a key in the wrong order": [({ found }, at) => swapped(found, at), "orderBreaks"],
  "a window that is missing": [({ found }, at) => ({ windows: found.windows.toSpliced(at % found.windows.length, 1) }), "windowErrors"],
  "a window with a wrong count": [({ found }, at) => changedWindow(found, at, ({ count }) => ({ count: count + 1 })), "windowErrors"],
  "a window with a wrong sum": [({ found }, at) => changedWindow(found, at, ({ sum }) => ({ sum: sum - 1 })), "windowErrors"],
  "a window with a wrong end": [({ found }, at) => changedWindow(found, at, ({ end }) => ({ end: end + 1 })), "windowErrors"],
  "a window of no record": [({ found }, at) => addedWindow(found, at, { start: 999_990_000, id: "other" }), "windowErrors"],
  "a repeat of a window that differs": [({ found }, at) => addedWindow(found, at, { count: 99 }), "windowErrors"],
  "a repeat of a window with another id": [({ found }, at) => addedWindow(found, at, { id: "other" }), "windowErrors"],
  "two windows with one id": [
    ({ found }, at) => (found.windows.length < 2 ? undefined : changedWindow(found, at, (_, other) => ({ id: other.id }))),
    "windowErrors",
  ],
};

test("a clean run passes, with its repeats counted", () => {
  fc.assert(
    fc.property(cleanRun, ({ ledger, found }) => {
      const verdict = check(ledger, found, PROMISES);
      assert.ok(verdict.passed, verdict.examples.join("\n"));
      assert.equal(verdict.repeats, found.delivered.length - new Set(found.delivered).size);
      assert.equal(verdict.attempted, ledger.length);
      assert.equal(verdict.lostByBroker, 0);
    }),
  );
});

for (const [what, [spoil, figure]] of Object.entries(PLANTED)) {
  test(`finds ${what}`, () => {
    let tried = 0;
    fc.assert(
      fc.property(cleanRun, pick, ({ ledger, found }, at) => {
        const spoiled = spoil({ ledger, found }, at);
        if (spoiled === undefined) return;
        tried++;
        const verdict = check(ledger, { ...found, ...spoiled }, PROMISES);
        assert.equal(verdict.passed, false);
        assert.ok(Number(verdict[figure]) > 0, `${figure} is ${String(verdict[figure])}`);
        assert.ok(verdict.examples.length > 0);
      }),
    );
    assert.ok(tried > 0);
  });
}

test("more repeats than were in flight are too many", () => {
  fc.assert(
    fc.property(cleanRun, ({ ledger, found }) => {
      const { repeats } = check(ledger, found, PROMISES);
      assert.ok(check(ledger, found, { ...PROMISES, mostRepeats: repeats }).passed);
      if (repeats > 0) assert.ok(!check(ledger, found, { ...PROMISES, mostRepeats: repeats - 1 }).passed);
    }),
  );
});

test("what is equal to a window that was there is a repeat, no error", () => {
  fc.assert(
    fc.property(cleanRun, ({ ledger, found }) => {
      const verdict = check(ledger, { ...found, windows: [...found.windows, ...found.windows] }, PROMISES);
      assert.ok(verdict.passed, verdict.examples.join("\n"));
      assert.equal(verdict.windowRepeats, found.windows.length);
    }),
  );
});

test("what came too late is in no window", () => {
  fc.assert(
    fc.property(cleanRun, pick, ({ ledger, found }, at) => {
      const late = oneOf(
        found.input.filter(({ fate }) => fate === "keep"),
        at,
      );
      const windows = windowsOf(found.input.filter((record) => record !== late));
      const verdict = check(ledger, { ...found, windows, late: [late] }, PROMISES);
      assert.ok(verdict.passed, verdict.examples.join("\n"));
      assert.ok(!check(ledger, { ...found, windows }, PROMISES).passed);
    }),
  );
});

test("what the broker acknowledged and has not is the broker's loss", () => {
  fc.assert(
    fc.property(cleanRun, pick, ({ ledger, found }, at) => {
      const { record } = oneOf(
        ledger.filter(({ record: { fate }, standing }) => fate === "keep" && standing === "acknowledged"),
        at,
      );
      const input = found.input.filter((one) => one !== record);
      const delivered = found.delivered.filter((one) => one !== record);
      const verdict = check(ledger, { ...found, input, delivered, windows: windowsOf(input) }, PROMISES);
      assert.equal(verdict.lostByBroker, 1);
      assert.ok(verdict.passed, verdict.examples.join("\n"));
    }),
  );
});

function oneOf<T>(values: readonly T[], at: number): T {
  return values[at % values.length] as T;
}

function insert(found: Run["found"], at: number, record: FaultRecord | undefined): Partial<Found> {
  const delivered: (FaultRecord | undefined)[] = [...found.delivered];
  delivered.splice(at % (delivered.length + 1), 0, record);
  return { delivered };
}

function without(found: Run["found"], at: number): Partial<Found> {
  const gone = oneOf(found.delivered, at);
  return { delivered: found.delivered.filter((record) => record !== gone) };
}

/** All deliveries of two neighbours of a key in each other's place. */
function swapped(found: Run["found"], at: number): Partial<Found> | undefined {
  const first = oneOf(found.delivered, at);
  const { delivered }: Complete = found;
  const second = delivered.find((record) => record.key === first.key && record.seq > first.seq);
  if (second === undefined) return undefined;
  return { delivered: found.delivered.map((record) => (record === first ? second : record === second ? first : record)) };
}

function changedWindow(
  found: Run["found"],
  at: number,
  change: (window: WindowFound, other: WindowFound) => Partial<WindowFound>,
): Partial<Found> {
  const index = at % found.windows.length;
  const window = oneOf(found.windows, at);
  return { windows: found.windows.with(index, { ...window, ...change(window, oneOf(found.windows, index + 1)) }) };
}

function addedWindow(found: Run["found"], at: number, change: Partial<WindowFound>): Partial<Found> {
  return { windows: [...found.windows, { ...oneOf(found.windows, at), ...change }] };
}
