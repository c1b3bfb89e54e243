import assert from "node:assert/strict";
import { test } from "node:test";

import fc from "fast-check";

import type { Delivery } from "../../src/nats/delivery.ts";
import { Held } from "../../src/nats/held.ts";
import { Unacknowledged } from "../../src/nats/unacknowledged.ts";

function delivery(sequence: number, consumerSequence = sequence): Delivery {
  const reply = `$JS.ACK.S.C.1.${sequence}.${consumerSequence}.1700000000000000000.0`;
  return { reply, sequence, consumerSequence } as Delivery;
}

test("what is released is what a list would give, over any order of adding and committing", () => {
  const steps = fc.array(
    fc.oneof(fc.record({ add: fc.integer({ min: 1, max: 5 }) }), fc.record({ commit: fc.integer({ min: 0, max: 60 }) })),
  );
  fc.assert(
    fc.property(steps, (given) => {
      const held = new Held();
      const unacknowledged = new Unacknowledged();
      let oracle: number[] = [];
      let last = 0;
      for (const step of given) {
        if ("add" in step) {
          last += step.add;
          held.add(delivery(last), last + 1);
          unacknowledged.add(delivery(last));
          oracle.push(last);
        } else {
          const expected = oracle.filter((sequence) => sequence < step.commit);
          oracle = oracle.filter((sequence) => sequence >= step.commit);
          assert.deepEqual(
            held.release(step.commit).map(({ sequence }) => sequence),
            expected,
          );
          assert.equal(unacknowledged.release(step.commit)?.sequence, expected.at(-1));
        }
        assert.deepEqual(
          Array.from(held, ({ sequence }) => sequence),
          oracle,
        );
        assert.deepEqual([held.size, unacknowledged.size], [oracle.length, oracle.length]);
      }
    }),
  );
});

test("the reply subject of a message that is long gone is made again, in both of its forms", () => {
  const old = new Unacknowledged();
  old.add(delivery(7, 3));
  old.add(delivery(9, 4));
  assert.equal(old.release(10)?.reply, "$JS.ACK.S.C.1.9.4.1700000000000000000.0");
  const withDomain = new Unacknowledged();
  withDomain.add({ reply: "$JS.ACK.hub.ACC.S.C.1.7.3.17.0.rnd", sequence: 7, consumerSequence: 3 } as Delivery);
  assert.equal(withDomain.release(8)?.reply, "$JS.ACK.hub.ACC.S.C.1.7.3.17.0.rnd");
});
