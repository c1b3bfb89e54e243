import { cleanRun, type Expected } from "./clean-run.ts";
import { GroupSource, wholeSource } from "./group-source.ts";
import { Judge } from "./judge.ts";
import { LogBroker } from "./log-broker.ts";
import { Member, type Surroundings } from "./member.ts";
import { Outputs } from "./outputs.ts";
import { placeTasks } from "./placement.ts";
import { QueueBroker, QueueSource } from "./queue-broker.ts";
import { HEALED, type Less, makeScenario, type Scenario, type ServiceName, type Trouble } from "./scenario.ts";
import { Service } from "./service.ts";
import { SharedStore } from "./store.ts";
import { type Violation, World } from "./world.ts";

/** How a seed's run is made. */
export interface SimulationOptions {
  readonly less?: Less | undefined;
  readonly tracing?: boolean;
}

/** What came of a seed. */
export interface Verdict {
  readonly scenario: Scenario;
  /** Empty when every promise was kept. */
  readonly violations: readonly Violation[];
  /** What happened, when it was asked for. */
  readonly trace: readonly string[];
  /** The same for the same run. */
  readonly digest: number;
}

/** Virtual time that is enough for everything to be done once all is healed, and for a planned stop, in milliseconds. */
const DONE_WITHIN = 120_000;
const STOPPED_WITHIN = 60_000;
/** Until answers have come that nobody waits for any more. */
const LAST_ANSWERS = 10_000;
const PATIENT_REBALANCE = 120_000;

/** Runs what a seed stands for, and judges it. The same seed gives the same run. */
export async function simulate(seed: number, options: SimulationOptions = {}): Promise<Verdict> {
  const scenario = makeScenario(seed, options.less);
  const world = new World(seed, options.tracing);
  const expected = await cleanRun(scenario, new CleanWorld(seed, world));
  if (world.violations.length === 0) await new Run(scenario, world, expected).go();
  if (world.violations.length === 0) placeTasks(seed, world);
  return { scenario, violations: world.violations, trace: world.trace, digest: world.digest };
}

/** Its violations count, its events are of no interest. */
class CleanWorld extends World {
  readonly #of: World;

  constructor(seed: number, of: World) {
    super(seed);
    this.#of = of;
  }

  override violate(rule: string, what: string): void {
    super.violate(rule, what);
    this.#of.violate(rule, what);
  }
}

class Run {
  readonly #scenario: Scenario;
  readonly #world: World;
  readonly #services: Readonly<Record<ServiceName, Service>>;
  readonly #log: LogBroker;
  readonly #queue: QueueBroker;
  readonly #store: SharedStore | undefined;
  readonly #outputs: Outputs;
  readonly #judge: Judge;
  readonly #members: readonly Member[];
  readonly #surroundings: Surroundings;
  #phase: "troubled" | "healed" = "troubled";

  constructor(scenario: Scenario, world: World, expected: Expected) {
    this.#scenario = scenario;
    this.#world = world;
    const { latencies, input, shape, kind, interval, mood } = scenario;
    const service = (name: ServiceName) => new Service(name, world, latencies[name]);
    this.#services = { broker: service("broker"), store: service("store"), outputs: service("outputs") };
    this.#log = new LogBroker(this.#services.broker, input.length, mood === "calm" ? PATIENT_REBALANCE : undefined);
    this.#queue = new QueueBroker(this.#services.broker);
    this.#outputs = new Outputs(this.#services.outputs);
    const store = shape.grouping === "none" ? undefined : new SharedStore(this.#services.store);
    this.#store = store;
    const judge = new Judge(scenario, world, expected, this.#outputs, store);
    this.#judge = judge;
    this.#log.onCommit = (partition, position) => judge.committed(partition, position);
    this.#queue.onAck = (sequence) => judge.acknowledged(sequence);
    if (store !== undefined) {
      store.onSave = ({ partition, position, fenced }) => judge.saved(Number(partition.split("/")[1]), position, fenced);
    }
    const most = () => world.random.int(1, scenario.batch);
    this.#surroundings = {
      shape,
      interval,
      store: store && ((process) => store.client(process)),
      source: (process) => (kind === "queue" ? new QueueSource(process, this.#queue, most) : new GroupSource(process, this.#log, most)),
      sink: (process, where) => this.#outputs.sink(process, where, shape),
      letterBox: (process) => this.#outputs.letterBox(process),
    };
    this.#members = Array.from({ length: scenario.members }, (_, number) => new Member(number, world, this.#surroundings));
  }

  async go(): Promise<void> {
    const { starts, troubles, kind } = this.#scenario;
    this.#arrive();
    for (const [index, at] of starts.entries()) this.#world.after(at, () => this.#members[index]?.start());
    for (const trouble of troubles) this.#world.after(trouble.at, () => this.#cause(trouble));
    await this.#world.run(HEALED, () => this.#isBroken);
    if (!this.#isBroken) await this.#heal();
    if (!this.#isBroken) await this.#stopAll();
    if (!this.#isBroken && kind === "log") await this.#finish();
    if (!this.#isBroken) this.#judge.conclude();
  }

  get #isBroken(): boolean {
    return this.#world.violations.length > 0;
  }

  #arrive(): void {
    const { arrivals, input, kind } = this.#scenario;
    const next = input.map(() => 0);
    for (const { at, partition, count } of arrivals) {
      const first = next[partition] ?? 0;
      next[partition] = first + count;
      const readings = (input[partition] ?? []).slice(first, first + count);
      this.#world.after(at, () => (kind === "queue" ? this.#queue.append(readings) : this.#log.append(partition, readings)));
    }
  }

  #cause(trouble: Trouble): void {
    const { kind } = trouble;
    this.#world.note(() => `TROUBLE ${JSON.stringify(trouble)}`);
    if (kind === "away" || kind === "lossy") {
      const service = this.#services[trouble.service];
      if (kind === "away") service.away = true;
      else service.lossy = trouble.share;
      this.#world.after(trouble.lasts, () => {
        if (kind === "away") service.away = false;
        else service.lossy = 0;
      });
      return;
    }
    const member = this.#members[trouble.member] as Member;
    const { process } = member;
    if (process === undefined) return;
    if (kind === "freeze") {
      process.freeze();
      this.#world.after(trouble.lasts, () => process.thaw());
    } else if (kind === "clock") process.setClock(trouble.skew);
    else {
      process.onDeath = () => this.#again(member, trouble.back);
      if (kind === "crash") process.die();
      else if (kind === "crash at request") process.dieAt({ request: trouble.request, when: trouble.when });
      else {
        if (kind === "stop") member.stop();
        else member.abandon();
        this.#again(member, trouble.back);
      }
    }
  }

  /** Starts a member again after a while, once it is over. */
  #again(member: Member, back: number): void {
    this.#world.after(back, () => {
      if (this.#phase === "healed") return;
      if (member.isOver) member.start();
      else if (member.isStopping) this.#again(member, back);
    });
  }

  async #heal(): Promise<void> {
    const world = this.#world;
    world.note(() => "HEALED");
    this.#phase = "healed";
    for (const service of Object.values(this.#services)) {
      service.away = false;
      service.lossy = 0;
    }
    for (const member of this.#members) {
      member.process?.dieAt(undefined);
      member.process?.thaw();
    }
    await world.run(
      world.now + STOPPED_WITHIN,
      () => this.#isBroken || this.#members.every((member) => !member.isStopping || member.isOver),
    );
    for (const member of this.#members) member.start();
    const isDone = await world.run(world.now + DONE_WITHIN, () => this.#isBroken || this.#isDone());
    if (!isDone) world.violate("everything is done in the end", this.#left());
  }

  #isDone(): boolean {
    if (this.#scenario.kind === "queue") return this.#queue.isDone;
    return this.#log.logs.every(({ readings, committed }) => readings.length === 0 || committed === readings.length);
  }

  #left(): string {
    if (this.#scenario.kind === "queue") return `${this.#queue.messages.filter(({ state }) => state !== "acknowledged").length} messages`;
    return this.#log.logs.map(({ readings, committed }, partition) => `${partition}: ${committed ?? 0} of ${readings.length}`).join(", ");
  }

  async #stopAll(): Promise<void> {
    const world = this.#world;
    for (const member of this.#members) member.stop();
    const areOver = await world.run(world.now + STOPPED_WITHIN, () => this.#isBroken || this.#members.every(({ isOver }) => isOver));
    if (!areOver) world.violate("a planned stop ends", this.#members.map(({ number, end }) => `${number}: ${end ?? "runs"}`).join(", "));
    await world.run(world.now + LAST_ANSWERS, () => this.#isBroken);
    for (const { number, process, instance } of this.#members) {
      const { inFlight } = instance?.counters ?? { inFlight: 0 };
      if (process === undefined || process.state === "dead") continue;
      if (inFlight > 0 || process.timers > 0 || process.pending > 0) {
        const what = `${inFlight} calls, ${process.timers} timers, ${process.pending} requests`;
        world.violate("what has ended leaves no work behind", `member ${number}: ${what}`);
      }
    }
  }

  /** Closes what is still open, at the end of the input. */
  async #finish(): Promise<void> {
    const world = this.#world;
    const most = () => world.random.int(1, this.#scenario.batch);
    const last = new Member(this.#members.length, world, {
      ...this.#surroundings,
      source: (process) => wholeSource(process, this.#log, most),
    });
    last.start();
    const isOver = await world.run(world.now + STOPPED_WITHIN, () => this.#isBroken || last.isOver);
    if (!isOver || last.end !== "finished") world.violate("the input's end is reached", `its end is ${last.end ?? "none"}`);
    for (const { name, manifest } of this.#store?.entries.values() ?? []) {
      if (manifest !== undefined) world.violate("nothing is kept of a finished input", `a checkpoint of ${name.partition}`);
    }
  }
}
