import assert from "node:assert/strict";
import { describe, it } from "node:test";

import fc from "fast-check";

import { InfrastructureError } from "../../../src/errors.ts";
import type { ModelAnswer, ModelCaller } from "../../../src/model.ts";
import type { Batcher } from "../../../src/models/batcher.ts";
import { settle, VirtualClock } from "../../../src/virtual-clock.ts";
import type { Sent, Target } from "./target.ts";
import { batcherOver, callerOf, callOf } from "./target.ts";

/** What can happen, in any order. */
type Move =
  | {
      readonly move: "ask";
      readonly caller: number;
      readonly rows: number;
      readonly shape: number;
      readonly patience: number;
      readonly bad: boolean;
    }
  | { readonly move: "answer" | "fail"; readonly which: number }
  | { readonly move: "abort"; readonly which: number }
  | { readonly move: "advance"; readonly ms: number }
  | { readonly move: "capacity"; readonly calls: number };

const moves: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      move: fc.constant("ask" as const),
      caller: fc.nat(3),
      rows: fc.integer({ min: 1, max: 6 }),
      shape: fc.nat(1),
      patience: fc.constantFrom(Infinity, Infinity, 3, 30),
      bad: fc.nat(5).map((n) => n === 0),
    }),
  },
  { weight: 3, arbitrary: fc.record({ move: fc.constant("answer" as const), which: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ move: fc.constant("fail" as const), which: fc.nat(9) }) },
  { weight: 1, arbitrary: fc.record({ move: fc.constant("abort" as const), which: fc.nat(30) }) },
  { weight: 2, arbitrary: fc.record({ move: fc.constant("advance" as const), ms: fc.nat(12) }) },
  { weight: 1, arbitrary: fc.record({ move: fc.constant("capacity" as const), calls: fc.nat(3) }) },
);

/** What a row that the model can't take holds; other rows hold their number. */
const BAD = -1;
const badRow = new TypeError("bad row");

/** By caller. */
const MAX_SIZES = [4, 8, 8, 2] as const;

interface Asked {
  readonly maxSize: number;
  readonly inputs: readonly Float64Array[];
  readonly controller: AbortController;
  readonly until: number;
  outcome: { readonly outputs: readonly unknown[] } | { readonly error: unknown } | undefined;
  outcomes: number;
}

class Run {
  readonly clock = new VirtualClock();
  readonly target: Target;
  readonly batcher: Batcher;
  readonly callers: readonly ModelCaller[];
  readonly asked: Asked[] = [];
  readonly open = new Set<Sent>();
  #seen = 0;
  #row = 0;

  constructor() {
    const { target, batcher } = batcherOver(this.clock);
    this.target = target;
    this.batcher = batcher;
    this.callers = [
      callerOf(batcher, {}, { maxSize: MAX_SIZES[0] }),
      callerOf(batcher, { priority: 1 }, { maxSize: MAX_SIZES[1] }),
      callerOf(batcher, {}, { maxSize: MAX_SIZES[2], maxDelay: 5 }),
      callerOf(batcher, { maxInFlight: 1 }, { maxSize: MAX_SIZES[3], maxDelay: 9 }),
    ];
  }

  async do(move: Move): Promise<void> {
    if (move.move === "ask") this.#ask(move);
    else if (move.move === "abort") this.asked[move.which]?.controller.abort(new Error("given up"));
    else if (move.move === "capacity") this.target.capacity = move.calls;
    else if (move.move === "advance") await this.clock.advance(move.ms);
    else this.#settleOne([...this.open][move.which], move.move);
    await settle();
    this.#look();
  }

  #ask({ caller, rows, shape, patience, bad }: Extract<Move, { move: "ask" }>): void {
    const inputs = Array.from({ length: rows }, () => new Float64Array(shape + 2).fill(this.#row++));
    if (bad) inputs[rows - 1]?.fill(BAD);
    const controller = new AbortController();
    const maxSize = MAX_SIZES[caller] as number;
    const asked: Asked = { maxSize, inputs, controller, until: this.clock.elapsed() + patience, outcome: undefined, outcomes: 0 };
    this.asked.push(asked);
    const call = callOf(inputs, { signal: controller.signal, until: asked.until });
    void this.#watch(asked, (this.callers[caller] as ModelCaller).predict(inputs, call));
  }

  async #watch(asked: Asked, answer: Promise<ModelAnswer>): Promise<void> {
    try {
      asked.outcome = { outputs: Array.from((await answer).outputs) };
    } catch (error) {
      asked.outcome = { error };
    }
    asked.outcomes += 1;
  }

  /** What was sent is of one shape, in whole calls, and not more than each of its calls allows. */
  #look(): void {
    for (const sent of this.target.sent.slice(this.#seen)) {
      this.open.add(sent);
      const shapes = new Set(sent.rows.map((row) => (row as Float64Array).length));
      assert.equal(shapes.size, 1);
      const joined = this.asked.filter(({ inputs }) => sent.rows.includes(inputs[0]));
      assert.equal(joined.flatMap(({ inputs }) => inputs).length, sent.rows.length);
      assert(joined.length === 1 || joined.every(({ maxSize }) => sent.rows.length <= maxSize));
      assert.deepEqual(
        sent.call.events.map(({ value }) => value),
        sent.rows,
      );
    }
    this.#seen = this.target.sent.length;
    assert(this.open.size <= Math.max(3, this.target.capacity));
  }

  #settleOne(sent: Sent | undefined, how: "answer" | "fail"): void {
    if (sent === undefined) return;
    this.open.delete(sent);
    if (how === "fail") sent.fail(new InfrastructureError("away"));
    else if (sent.call.signal.aborted) sent.fail(sent.call.signal.reason);
    else if (sent.rows.some((row) => (row as Float64Array)[0] === BAD)) sent.fail(badRow);
    else sent.answer(sent.rows.map((row) => ((row as Float64Array)[0] as number) * 2));
  }

  async finish(): Promise<void> {
    this.target.capacity = 3;
    for (let left = true; left; left = this.open.size > 0) {
      this.#settleOne([...this.open][0], "answer");
      await this.clock.advance(20);
      this.#look();
    }
  }
}

describe("whatever the order of arrivals, answers, failures, aborts and capacities", () => {
  it("each call is settled once, with the outputs of its own rows or an error that is its own", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(moves, { maxLength: 40 }), async (given) => {
        const run = new Run();
        for (const move of given) await run.do(move);
        await run.finish();
        for (const { inputs, controller, outcome, outcomes, until } of run.asked) {
          assert.equal(outcomes, 1);
          assert(outcome !== undefined);
          if ("outputs" in outcome) {
            assert.deepEqual(
              outcome.outputs,
              inputs.map((row) => (row[0] as number) * 2),
            );
            continue;
          }
          const { error } = outcome;
          if (error === badRow) assert(inputs.some((row) => row[0] === BAD));
          else if (error !== controller.signal.reason) {
            assert(error instanceof InfrastructureError);
            assert(error.message === "away" || until < Infinity, error.message);
          }
        }
        assert.equal(run.batcher.queued, 0);
        assert.equal(run.clock.next, undefined);
      }),
      { numRuns: 300 },
    );
  });
});
