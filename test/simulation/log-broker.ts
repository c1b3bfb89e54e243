import type { Position } from "../../src/batch.ts";
import { InfrastructureError } from "../../src/errors.ts";
import type { Reading } from "./input.ts";
import type { Process } from "./process.ts";
import type { Service } from "./service.ts";

/** How the broker and its members keep in touch, in milliseconds. */
export const SESSION_TIMEOUT = 6000;
export const HEARTBEAT = 2000;
const REBALANCE_TIMEOUT = 5000;
const LONG_POLL = 4000;

/** A member that the group does not know any more, or of an older generation. */
export class StaleMemberError extends InfrastructureError {
  override readonly name = "StaleMemberError";
}

/** What a member is told. */
export interface MemberListener {
  assigned(generation: number, partitions: ReadonlyMap<number, Position | undefined>): void;
  /** The partitions are to be handed over. */
  revoked(generation: number): void;
}

interface Member {
  readonly id: number;
  readonly process: Process;
  readonly listener: MemberListener;
  generation: number;
  partitions: readonly number[];
  seen: number;
}

interface Log {
  readonly readings: Reading[];
  committed: Position | undefined;
  /** What waits for more records. */
  waiting: (() => void)[];
}

/** Told of each position that the broker has taken, so that it can be judged. */
export type CommitJudge = (partition: number, position: Position, process: Process) => void;

/** A topic and a consumer group, as Kafka has them: partitions are handed over in generations, and old ones are fenced. */
export class LogBroker {
  readonly service: Service;
  readonly logs: readonly Log[];
  onCommit: CommitJudge = () => undefined;
  /** How long the group waits for members to hand over, in milliseconds. */
  readonly rebalanceTimeout: number;
  readonly #members = new Map<number, Member>();
  #generation = 0;
  #nextMember = 1;
  /** Members that have not handed over yet; undefined while the group is stable. */
  #handingOver: Set<Member> | undefined;
  #cancelDeadline: () => void = () => undefined;

  constructor(service: Service, partitions: number, rebalanceTimeout = REBALANCE_TIMEOUT) {
    this.service = service;
    this.rebalanceTimeout = rebalanceTimeout;
    this.logs = Array.from({ length: partitions }, () => ({ readings: [], committed: undefined, waiting: [] }));
  }

  append(partition: number, readings: readonly Reading[]): void {
    const log = this.#log(partition);
    log.readings.push(...readings);
    for (const wake of log.waiting.splice(0)) wake();
  }

  /** Records from a position on; waits a while when there are none. */
  fetch(process: Process, partition: number, from: Position, most: number): Promise<readonly Reading[]> {
    const log = this.#log(partition);
    const read = () => log.readings.slice(from, from + most);
    const found = () => process.ask(this.service, `fetch ${partition}@${from}`, read);
    if (log.readings.length > from) return found();
    return new Promise((resolve) => {
      let waits = true;
      const wake = () => {
        if (!waits) return;
        waits = false;
        cancel();
        process.deliver(() => resolve(found()));
      };
      const cancel = this.service.world.after(LONG_POLL, wake);
      log.waiting.push(wake);
    });
  }

  join(process: Process, listener: MemberListener): number {
    const { world } = this.service;
    const id = this.#nextMember++;
    this.#members.set(id, { id, process, listener, generation: 0, partitions: [], seen: world.now });
    this.#watch(id);
    this.#rebalance();
    return id;
  }

  leave(id: number): void {
    this.#remove(id);
  }

  heartbeat(id: number): void {
    const member = this.#member(id);
    member.seen = this.service.world.now;
  }

  /** Everything of the generation is finished, and the member waits for the next. */
  handedOver(id: number, generation: number): void {
    const member = this.#member(id);
    if (member.generation !== generation) throw new StaleMemberError(`generation ${generation} is over`);
    member.seen = this.service.world.now;
    member.partitions = [];
    if (this.#handingOver?.delete(member) === true) this.#completeSoon();
  }

  commit(id: number, generation: number, partition: number, position: Position): void {
    const member = this.#member(id);
    if (member.generation !== generation || !member.partitions.includes(partition)) {
      throw new StaleMemberError(`member ${id} of generation ${generation} does not own partition ${partition} any more`);
    }
    this.take(partition, position, member.process);
  }

  /** Takes a position, of whoever gives it. */
  take(partition: number, position: Position, process: Process): void {
    this.onCommit(partition, position, process);
    this.#log(partition).committed = position;
  }

  #log(partition: number): Log {
    return this.logs[partition] as Log;
  }

  #member(id: number): Member {
    const member = this.#members.get(id);
    if (member === undefined) throw new StaleMemberError(`the group has expelled member ${id}`);
    return member;
  }

  #remove(id: number): void {
    const member = this.#members.get(id);
    if (member === undefined) return;
    this.#members.delete(id);
    if (this.#handingOver?.delete(member) === true) this.#completeSoon();
    else this.#rebalance();
  }

  /** Expels a member that is not heard of. */
  #watch(id: number): void {
    const { world } = this.service;
    const member = this.#members.get(id);
    if (member === undefined) return;
    const left = member.seen + SESSION_TIMEOUT - world.now;
    if (left > 0) {
      world.after(left, () => this.#watch(id));
      return;
    }
    world.note(() => `member ${id} is expelled`);
    this.#remove(id);
  }

  #rebalance(): void {
    const { world } = this.service;
    if (this.#handingOver !== undefined) return;
    const owning = [...this.#members.values()].filter(({ partitions }) => partitions.length > 0);
    this.#handingOver = new Set(owning);
    world.note(() => `the group rebalances; ${owning.map(({ id }) => id).join(", ")} hand over`);
    for (const { process, listener, generation } of owning) {
      world.after(this.service.delay(), () => process.deliver(() => listener.revoked(generation)));
    }
    this.#cancelDeadline = world.after(this.rebalanceTimeout, () => {
      for (const member of this.#handingOver ?? []) this.#members.delete(member.id);
      this.#handingOver?.clear();
      this.#complete();
    });
    this.#completeSoon();
  }

  /** Others may join meanwhile. */
  #completeSoon(): void {
    if (this.#handingOver?.size === 0) this.service.world.after(100, () => this.#complete());
  }

  #complete(): void {
    if (this.#handingOver === undefined || this.#handingOver.size > 0) return;
    this.#handingOver = undefined;
    this.#cancelDeadline();
    const { world } = this.service;
    const generation = ++this.#generation;
    const members = [...this.#members.values()];
    const shift = members.length === 0 ? 0 : world.random.int(0, members.length - 1);
    for (const [index, member] of members.entries()) {
      member.generation = generation;
      member.partitions = [...this.logs.keys()].filter((partition) => (partition + shift) % members.length === index);
      const starts = new Map(member.partitions.map((partition) => [partition, this.#log(partition).committed]));
      world.note(() => `generation ${generation}: member ${member.id} gets ${member.partitions.join(", ")}`);
      world.after(this.service.delay(), () => member.process.deliver(() => member.listener.assigned(generation, starts)));
    }
  }
}
