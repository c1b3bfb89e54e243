import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { setImmediate as turn } from "node:timers/promises";

import { type Batch, NO_WATERMARK } from "../../src/batch.ts";
import type { Partition } from "../../src/contracts.ts";
import { OwnershipLostError } from "../../src/errors.ts";
import { COMMIT_EVERY, TransactionalPartition } from "../../src/kafka/transactional-partition.ts";
import { VirtualClock } from "../../src/virtual-clock.ts";
import { silent } from "../support/kafka-topics.ts";

const done = () => Promise.resolve();

describe("a partition in transactions", () => {
  it("takes the id over before it finds out where to begin", async () => {
    const { partition, log } = rig();
    await partition.read(undefined)[Symbol.asyncIterator]().next();
    assert.deepEqual(log, ["begin", "read"]);
  });

  it("commits results and position together, some time after the first of them", async () => {
    const { partition, log, clock } = rig();
    await partition.write(4, done);
    await partition.commit(5);
    await partition.write(8, done);
    await partition.commit(9);
    assert.deepEqual(log, []);
    await clock.advance(COMMIT_EVERY);
    assert.deepEqual(log, ["commit 9", "wrote 9"]);
    await clock.advance(COMMIT_EVERY * 5);
    assert.equal(log.length, 2, "and nothing when nothing came");
  });

  it("never commits between the results of one record", async () => {
    const { partition, log, clock } = rig();
    await partition.write(7, done);
    await partition.commit(7);
    await clock.advance(COMMIT_EVERY);
    assert.deepEqual(log, [], "record 7 would be worked on again");
    await partition.write(7, done);
    await partition.commit(8);
    assert.deepEqual(log, ["commit 8", "wrote 8"]);
  });

  it("does not commit what is still being written", async () => {
    const { partition, log, clock } = rig();
    const sent = Promise.withResolvers<void>();
    await partition.commit(3);
    const writing = partition.write(3, () => sent.promise);
    await clock.advance(COMMIT_EVERY);
    assert.deepEqual(log, []);
    sent.resolve();
    await writing;
    await partition.commit(4);
    assert.deepEqual(log, ["commit 4", "wrote 4"]);
  });

  it("writes nothing into a transaction that is being ended", async () => {
    const { partition, clock, commits } = rig();
    const ended = Promise.withResolvers<void>();
    commits.push(ended.promise);
    await partition.write(0, done);
    await partition.commit(1);
    await clock.advance(COMMIT_EVERY);
    let sent = false;
    const writing = partition.write(1, () => Promise.resolve(void (sent = true)));
    await turn();
    assert.equal(sent, false);
    ended.resolve();
    await writing;
    assert.equal(sent, true);
  });

  it("commits the position of records without results", async () => {
    const { partition, log, clock } = rig();
    await partition.commit(100);
    await clock.advance(COMMIT_EVERY);
    assert.deepEqual(log, ["commit 100", "wrote 100"]);
  });

  it("commits what is done when it is handed over", async () => {
    const { partition, log } = rig();
    await partition.write(4, done);
    await partition.commit(5);
    await partition[Symbol.asyncDispose]();
    assert.deepEqual(log, ["commit 5", "wrote 5", "abort", "disposed"]);
  });

  it("gives up what was written and is not done when it is handed over", async () => {
    const { partition, log } = rig();
    await partition.write(4, done);
    await partition.commit(5);
    await partition.write(5, done);
    await partition[Symbol.asyncDispose]();
    assert.deepEqual(log, ["abort", "disposed"]);
  });

  it("commits nothing after a write that failed, and its read fails with the same", async () => {
    const { partition, log, clock } = rig();
    const reading = partition.read(undefined)[Symbol.asyncIterator]();
    await reading.next();
    await partition.write(4, done);
    await partition.commit(5);
    await assert.rejects(
      partition.write(9, () => Promise.reject(new Error("refused"))),
      /refused/,
    );
    await assert.rejects(partition.commit(6), /refused/);
    await assert.rejects(partition.write(10, done), /refused/);
    await assert.rejects(reading.next(), /refused/);
    await clock.advance(COMMIT_EVERY);
    await partition[Symbol.asyncDispose]();
    assert.deepEqual(log, ["begin", "read", "disposed", "abort", "disposed"]);
  });

  it("ends its read when an idle transaction can't be committed", async () => {
    const { partition, clock, commits } = rig();
    const reading = partition.read(undefined)[Symbol.asyncIterator]();
    await reading.next();
    const failed = Promise.reject(new OwnershipLostError("lost"));
    failed.catch(() => undefined);
    commits.push(failed);
    await partition.commit(5);
    const next = assert.rejects(reading.next(), OwnershipLostError);
    await clock.advance(COMMIT_EVERY);
    await next;
  });

  it("commits nothing once the partition is lost", async () => {
    const { partition, log, lost } = rig();
    await partition.write(4, done);
    await partition.commit(5);
    lost.abort(new OwnershipLostError("lost"));
    await assert.rejects(partition.commit(6), OwnershipLostError);
    await partition[Symbol.asyncDispose]();
    assert.deepEqual(log, ["abort", "disposed"]);
  });
});

/** A partition over a source and a producer that note what is asked of them. */
function rig() {
  const log: string[] = [];
  /** What the next commits wait for. */
  const commits: Promise<void>[] = [];
  const clock = new VirtualClock();
  const lost = new AbortController();
  const over = Promise.withResolvers<void>();
  const inner: Partition = {
    name: "in/0",
    signal: lost.signal,
    async *read(): AsyncGenerator<Batch> {
      log.push("read");
      yield { events: [], position: 0, watermark: NO_WATERMARK };
      await over.promise;
    },
    commit: () => assert.fail("the position is written by the transaction alone"),
    [Symbol.asyncDispose]: () => {
      log.push("disposed");
      over.resolve();
      return Promise.resolve();
    },
  };
  const rights = {
    topic: "in",
    partition: 0,
    group: "g",
    member: "m",
    generation: 1,
    wrote: (position: number) => log.push(`wrote ${position}`),
  };
  const producer = {
    begin: () => Promise.resolve(void log.push("begin")),
    commit: async (_rights: unknown, position: number) => {
      log.push(`commit ${position}`);
      await commits.shift();
    },
    abort: () => Promise.resolve(void log.push("abort")),
  };
  const partition = new TransactionalPartition(inner, { rights, producer, clock, logger: silent, over: lost.signal });
  return { partition, log, clock, commits, lost };
}
