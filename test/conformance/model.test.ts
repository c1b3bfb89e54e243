/** What every place that a model runs in promises: the same results, in the same order, and the same errors. */
import assert from "node:assert/strict";
import type { TestContext } from "node:test";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";

import type { ModelSpec } from "millrace";
import { from, memorySink, memorySource, sink } from "millrace";
import { runPipeline } from "millrace/testing";

import { PlannedStop } from "../../src/errors.ts";
import type { InferOptions } from "../../src/pipeline/infer.ts";
import { createInstance } from "../../src/pipeline/instance.ts";
import { openContext } from "../support/open-context.ts";
import { until } from "../support/until.ts";
import type { ModelPlace, Trial } from "./models/places.ts";
import { PLACES } from "./models/places.ts";
import { DO } from "./models/scale.ts";

type Rows = readonly ArrayLike<number>[];

interface Result {
  readonly row: readonly number[];
  readonly header: readonly string[] | undefined;
}

/** The pipeline of a place's model. Calls are asked once, and in small ones, unless options say otherwise. */
async function planOf(t: TestContext, place: ModelPlace, options: InferOptions, input = memorySource<ArrayLike<number>>([])) {
  // Whether it is a model or a function, it is given alike.
  const given = (await place.spec(t)) as ModelSpec<ArrayLike<number>, ArrayLike<number>>;
  return from(input)
    .infer(given, { retries: 0, backoffFactor: 0, ...place.options, ...options })
    .map((row, event): Result => ({ row: Array.from(row), header: event.headers?.map(([name, value]) => `${name} ${String(value)}`) }));
}

/** What came of rows: the results, and what is told of rows that have none, by their events. */
async function ask(t: TestContext, place: ModelPlace, rows: Rows, options: InferOptions = {}) {
  const plan = (await planOf(t, place, options)).deadLetter(sink({ file: { path: "unused" } })).to(memorySink());
  const { values, letters, position } = await runPipeline<Result>(
    plan,
    rows.map((value) => ({ value })),
  );
  assert.equal(position, rows.length);
  return {
    results: values.map(({ row }) => row),
    headers: values.map(({ header }) => header),
    errors: letters.map(({ step, offset, error, message }) => `${step} at ${offset}: ${error}: ${message}`),
    attempts: letters.map(({ attempts }) => attempts),
  };
}

const rowOf = (n: number) => [n, n + 0.5, 1024];
const rowsOf = (count: number) => Array.from({ length: count }, (_, n) => rowOf(n));
const doubled = (rows: Rows) => rows.map((row) => Array.from(row, (n) => n * 2));
const ONE_BY_ONE = { batch: { maxSize: 1 } };

/** What is not tried in a place, and why. */
function untried({ cannot }: ModelPlace): string {
  const byReason = Object.groupBy(Object.keys(cannot) as Trial[], (trial) => cannot[trial] ?? "");
  return Object.entries(byReason)
    .map(([why, trials = []]) => `; ${why}, so it never ${trials.join(", ")}`)
    .join("");
}

/** Rows that were asked for another try are told apart by a number. */
let tries = 0;

for (const place of PLACES) {
  const can = (trial: Trial) => place.cannot[trial] === undefined;
  describe(place.name + untried(place), () => {
    it("answers in order, several calls at a time, and results name it", async (t) => {
      const rows = rowsOf(300);
      const { results, headers, errors } = await ask(t, place, rows, { maxInFlight: 5, batch: { maxSize: 7 } });
      assert.deepEqual(results, doubled(rows));
      assert.deepEqual(headers, Array(300).fill(place.told.header));
      assert.deepEqual(errors, []);
    });

    it("takes typed arrays for rows, views of one buffer as well, and leaves them as they are", async (t) => {
      const buffer = Float32Array.from({ length: 60 }, (_, n) => n / 2);
      const rows = Array.from({ length: 20 }, (_, row) => buffer.subarray(3 * row, 3 * row + 3));
      const expected = doubled(rows);
      assert.deepEqual((await ask(t, place, rows, { batch: { maxSize: 6 } })).results, expected);
      assert.deepEqual(doubled(rows), expected);
    });

    it("takes large batches", async (t) => {
      const rows = rowsOf(2500);
      assert.deepEqual((await ask(t, place, rows, { batch: { maxSize: 1024 } })).results, doubled(rows));
    });

    it("fails the event of a bad row alone, and goes on", async (t) => {
      const { row, error } = place.bad;
      const { results, errors } = await ask(t, place, [...rowsOf(9), row, rowOf(10)]);
      assert.deepEqual(results, doubled([...rowsOf(9), rowOf(10)]));
      assert.equal(errors.length, 1);
      assert.match(errors[0] ?? "", /^infer at 9: /);
      assert.match(errors[0] ?? "", error);
    });

    it("stops at the event of a bad row where no policy goes on, with everything before it delivered", async (t) => {
      const delivered = memorySink();
      const input = memorySource([...rowsOf(9), place.bad.row, rowOf(10)].map((value) => ({ value })));
      const plan = (await planOf(t, place, { batch: { maxSize: 4 } }, input)).to(delivered);
      await assert.rejects(createInstance(plan, openContext(t)).run(new AbortController().signal), {
        name: "DataError",
        message: new RegExp(`^step "infer" at memory memory@9: ${place.told.model}`),
      });
      assert.deepEqual(
        delivered.events.map(({ value }) => (value as Result).row),
        doubled(rowsOf(9)),
      );
    });

    if (can("fails one row"))
      it("fails the event of a row that it gives an error for, without another call", async (t) => {
        const { results, errors, attempts } = await ask(t, place, [rowOf(0), [DO.fail, 0, 0], rowOf(2)]);
        assert.deepEqual(results, doubled([rowOf(0), rowOf(2)]));
        assert.equal(errors.length, 1);
        assert.match(errors[0] ?? "", new RegExp(`^infer at 1: RangeError: ${place.told.model}.*not this row$`));
        assert.deepEqual(attempts, [1]);
      });

    if (can("loses a row"))
      it("gives nobody the result of another where a call has too few, and tells how many", async (t) => {
        const { results, errors } = await ask(t, place, [rowOf(0), [DO.lose, 0, 0], rowOf(2)], ONE_BY_ONE);
        assert.deepEqual(results, doubled([rowOf(0), rowOf(2)]));
        assert.equal(errors.length, 1);
        assert.match(errors[0] ?? "", new RegExp(`^infer at 1: RowCountError: ${place.told.model}the model returned 0 .*for 1 inputs`));
      });

    const { nothing, broken } = place;
    if (nothing !== undefined && can("answers nothing"))
      it("fails the event that it answers nothing for, and goes on", async (t) => {
        const { results, errors } = await ask(t, place, [rowOf(0), [DO.nothing, 0, 0], rowOf(2)], ONE_BY_ONE);
        assert.deepEqual(results, doubled([rowOf(0), rowOf(2)]));
        assert.equal(errors.length, 1);
        assert.match(errors[0] ?? "", nothing);
      });

    if (can("asks for another try")) {
      it("is asked again when it says that it may pass later", async (t) => {
        const rows = [rowOf(0), [DO.later, tries++, 0], rowOf(2)];
        assert.deepEqual((await ask(t, place, rows, { retries: 1 })).results, doubled(rows));
      });

      it("is not asked again without retries, and the error keeps its class", async (t) => {
        const rows = [rowOf(0), [DO.later, tries++, 0], rowOf(2)];
        const { results, errors } = await ask(t, place, rows, ONE_BY_ONE);
        assert.deepEqual(results, doubled([rowOf(0), rowOf(2)]));
        assert.match(errors.join("\n"), /^infer at 1: RetryableError: .*ask again later.*$/);
      });
    }

    if (can("keeps silent")) {
      it("is given up when its time is up, and asked again for what comes next", async (t) => {
        for (const [options, message] of [
          [{ timeout: "150ms" }, "no answer within 150 ms"],
          [{ deadline: "150ms" }, "no answer within the deadline of 150 ms"],
        ] as const) {
          const { results, errors } = await ask(t, place, [rowOf(0), [DO.never, 0, 0], rowOf(2)], {
            ...ONE_BY_ONE,
            ...options,
            maxInFlight: 1,
          });
          assert.deepEqual(errors, [`infer at 1: CallTimeoutError: step "infer": ${message}`]);
          assert.deepEqual(results, doubled([rowOf(0), rowOf(2)]));
        }
      });

      it("is given up when the work is, with the reason", async (t) => {
        const input = memorySource([rowOf(0), [DO.never, 0, 0]].map((value) => ({ value })));
        const delivered = memorySink();
        const plan = (await planOf(t, place, ONE_BY_ONE, input)).to(delivered);
        const given = new AbortController();
        const context = openContext(t);
        const running = createInstance(plan, { ...context, signal: given.signal }).run(new AbortController().signal);
        const outcome = running.catch((error: unknown) => error);
        await until("the first row is answered", () => delivered.events.length === 1);
        const reason = new Error("enough");
        given.abort(reason);
        assert.equal(await outcome, reason);
      });
    }

    it("finishes what it has when a task stops in the midst of it, and can be opened again", async (t) => {
      let read = 0;
      const endless = {
        async *[Symbol.asyncIterator]() {
          while (true) {
            yield { value: rowOf(read++) };
            await turn();
          }
        },
      };
      const delivered = memorySink();
      const plan = (await planOf(t, place, { maxInFlight: 4, batch: { maxSize: 3 } }, memorySource<ArrayLike<number>>(endless))).to(
        delivered,
      );
      const context = openContext(t);
      for (let run = 0; run < 2; run++) {
        const before = delivered.events.length;
        const stop = new AbortController();
        const running = createInstance(plan, context).run(stop.signal);
        await until("it works", () => delivered.events.length > before + 20);
        stop.abort(new PlannedStop("that is all"));
        assert.equal(await running, "stopped");
      }
      const results = delivered.events.map(({ value }) => (value as Result).row);
      const numbers = results.map(([n]) => (n as number) / 2);
      assert.deepEqual(results, doubled(numbers.map(rowOf)));
      assert.deepEqual(
        numbers,
        numbers.toSorted((a, b) => a - b),
      );
    });

    if (broken !== undefined)
      it("is told of when it can't be loaded", async (t) => {
        const { spec, error } = await broken(t);
        const failing = ask(t, { ...place, spec: () => spec }, [rowOf(0)]);
        const outcome = await failing.then(
          () => "it was loaded",
          (thrown: Error) => `${thrown.name}: ${thrown.message}`,
        );
        assert.match(outcome, error);
      });
  });
}
