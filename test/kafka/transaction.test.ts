import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { systemClock } from "../../src/clock.ts";
import type { CommitRights } from "../../src/contracts.ts";
import { InfrastructureError, OwnershipLostError } from "../../src/errors.ts";
import type { ProducerId } from "../../src/kafka/producer-client.ts";
import type { Target, TransactionRequests } from "../../src/kafka/transaction-requests.ts";
import { TransactionalProducer } from "../../src/kafka/transaction.ts";
import { VirtualClock } from "../../src/virtual-clock.ts";

const never = new AbortController().signal;

const RIGHTS: CommitRights = { topic: "in", partition: 0, group: "g", member: "m", generation: 3, wrote: () => undefined };

describe("a transactional producer", () => {
  it("commits the position in the transaction of what was written", async () => {
    const broker = new Broker();
    const producer = await begun(broker);
    await producer.include("out", 1);
    await producer.commit(RIGHTS, 17);
    assert.deepEqual(broker.asked, ["init", "include out/1", "includeGroup g", "position 17 of generation 3", "commit"]);
  });

  it("makes each partition part of each transaction once, and those of one turn by one request", async () => {
    const broker = new Broker();
    const producer = await begun(broker);
    await Promise.all([producer.include("out", 0), producer.include("out", 1), producer.include("out", 0)]);
    await producer.include("out", 1);
    await producer.commit(RIGHTS, 1);
    await producer.include("out", 1);
    assert.deepEqual(
      broker.asked.filter((what) => what.startsWith("include out")),
      ["include out/0 out/1", "include out/1"],
    );
  });

  it("waits while the broker is busy, and keeps its identity", async () => {
    const broker = new Broker();
    const producer = await begun(broker);
    broker.answers.push(answer("CONCURRENT_TRANSACTIONS"), answer("COORDINATOR_LOAD_IN_PROGRESS"));
    await producer.commit(RIGHTS, 1);
    assert.deepEqual(producer.producer, broker.present);
    assert.deepEqual(broker.asked.slice(1), ["includeGroup g", "includeGroup g", "includeGroup g", "position 1 of generation 3", "commit"]);
  });

  it("says so when the broker stays busy", async () => {
    const broker = new Broker();
    const clock = new VirtualClock();
    const waits: unknown[] = [];
    const producer = new TransactionalProducer(broker, { clock, over: never, waiting: (error) => waits.push(error) });
    await producer.begin(never);
    const busy = answer("CONCURRENT_TRANSACTIONS");
    broker.answers.push(...Array.from({ length: 20 }, () => busy));
    const included = producer.include("out", 0);
    await clock.advance(100);
    assert.ok(!waits.includes(busy), "not for the moment that the last transaction takes");
    await clock.advance(60_000);
    await included;
    assert.ok(waits.includes(busy));
    assert.equal(waits.at(-1), undefined);
  });

  for (const [what, trouble] of [
    ["no answer", new Error("timed out")],
    ["an answer that leaves it open", answer("REQUEST_TIMED_OUT")],
    ["another coordinator", answer("NOT_COORDINATOR")],
  ] as const) {
    it(`repeats a request after ${what}, and takes a new epoch before the next transaction`, async () => {
      const broker = new Broker();
      const waits: boolean[] = [];
      const producer = await begun(broker, (error) => waits.push(error !== undefined));
      const before = producer.producer;
      broker.answers.push(undefined, undefined, trouble);
      await producer.commit(RIGHTS, 1);
      assert.deepEqual(broker.asked.slice(-3), ["commit", "commit", "init as 7.0"]);
      assert.equal(producer.producer.producerEpoch, before.producerEpoch + 1, "a late commit can't end the next transaction");
      assert.ok(waits.includes(true));
      await producer.commit(RIGHTS, 2);
      assert.equal(broker.asked.at(-1), "commit", "and it is renewed once");
    });
  }

  it("takes a new epoch also after a batch whose answer was lost", async () => {
    const broker = new Broker();
    const producer = await begun(broker);
    producer.doubt();
    await producer.commit(RIGHTS, 1);
    assert.equal(broker.asked.at(-1), "init as 7.0");
  });

  for (const [name, expected] of [
    ["INVALID_PRODUCER_EPOCH", /another has taken it over/],
    ["PRODUCER_FENCED", /another has taken it over/],
    ["INVALID_TXN_STATE", /Kafka answers INVALID_TXN_STATE/],
    ["TRANSACTIONAL_ID_AUTHORIZATION_FAILED", /Kafka answers TRANSACTIONAL_ID_AUTHORIZATION_FAILED/],
  ] as const) {
    it(`ends after ${name}, without trying again`, async () => {
      const broker = new Broker();
      const producer = await begun(broker);
      broker.answers.push(answer(name));
      await assert.rejects(producer.commit(RIGHTS, 1), (error) => error instanceof InfrastructureError && expected.test(error.message));
      assert.deepEqual(broker.asked, ["init", "includeGroup g"]);
    });
  }

  it("commits nothing in the name of a generation that is over", async () => {
    for (const name of ["ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID"]) {
      const broker = new Broker();
      const producer = await begun(broker);
      broker.answers.push(undefined, answer(name));
      await assert.rejects(producer.commit(RIGHTS, 1), OwnershipLostError);
      await producer.abort();
      assert.deepEqual(broker.asked.slice(-1), ["abort"]);
    }
  });

  it("aborts only what is open", async () => {
    const broker = new Broker();
    const producer = await begun(broker);
    await producer.abort();
    await producer.include("out", 0);
    await producer.abort();
    assert.deepEqual(broker.asked, ["init", "include out/0", "abort"]);
  });

  it("is not taken in by the answer for another partition of the same request", async () => {
    const broker = new Broker();
    const producer = await begun(broker);
    broker.answers.push(new AggregateError([answer("OPERATION_NOT_ATTEMPTED"), answer("TOPIC_AUTHORIZATION_FAILED")]));
    await assert.rejects(producer.include("out", 0), /TOPIC_AUTHORIZATION_FAILED/);
  });
});

/** An error as the client makes it of a broker's answer. */
function answer(apiId: string): Error {
  return Object.assign(new Error(apiId), { apiId });
}

async function begun(broker: Broker, waiting: (error: unknown) => void = () => undefined): Promise<TransactionalProducer> {
  const producer = new TransactionalProducer(broker, { clock: systemClock, over: never, waiting });
  await producer.begin(never);
  return producer;
}

/** Notes what is asked, and answers as it is told. */
class Broker implements TransactionRequests {
  readonly id = "id";
  readonly asked: string[] = [];
  /** What the next requests after the first fail with; undefined: they don't. */
  readonly answers: (Error | undefined)[] = [];
  present: ProducerId = { producerId: 7n, producerEpoch: -1 };

  async init(as: ProducerId | undefined): Promise<ProducerId> {
    await this.#ask(as === undefined ? "init" : `init as ${as.producerId}.${as.producerEpoch}`);
    this.present = { producerId: 7n, producerEpoch: this.present.producerEpoch + 1 };
    return this.present;
  }

  async include(_producer: ProducerId, targets: readonly Target[]): Promise<void> {
    await this.#ask(`include ${targets.map(({ topic, partition }) => `${topic}/${partition}`).join(" ")}`);
  }

  async includeGroup(_producer: ProducerId, group: string): Promise<void> {
    await this.#ask(`includeGroup ${group}`);
  }

  async writePosition(_producer: ProducerId, { generation }: CommitRights, position: number): Promise<void> {
    await this.#ask(`position ${position} of generation ${generation}`);
  }

  async end(_producer: ProducerId, outcome: "commit" | "abort"): Promise<void> {
    await this.#ask(outcome);
  }

  forget(): void {}

  async #ask(what: string): Promise<void> {
    this.asked.push(what);
    const failure = this.answers.shift();
    if (failure !== undefined) throw failure;
  }
}
