import { wholeSource } from "./group-source.ts";
import { LogBroker } from "./log-broker.ts";
import { Member } from "./member.ts";
import { Outputs, type Kept } from "./outputs.ts";
import type { Scenario } from "./scenario.ts";
import { Service } from "./service.ts";
import { fateOf } from "./shape.ts";
import type { World } from "./world.ts";

/** What a run is to give: what one without troubles gave, each thing once. */
export interface Expected {
  readonly byId: ReadonlyMap<string, Kept>;
}

/** Virtual time within which a run without troubles ends, in milliseconds. */
const WITHIN = 600_000;

/**
 * Runs the scenario's input through its pipeline in one process that nothing happens to, without checkpoints; and looks whether each
 * event ends where it is to, as told without the engine.
 */
export async function cleanRun(scenario: Scenario, world: World): Promise<Expected> {
  const broker = new LogBroker(new Service("broker", world, 0), scenario.input.length);
  for (const [partition, readings] of scenario.input.entries()) broker.append(partition, readings);
  const outputs = new Outputs(new Service("outputs", world, 0));
  const member = new Member(0, world, {
    shape: scenario.shape,
    store: undefined,
    interval: 0,
    source: (process) => wholeSource(process, broker, () => 1000),
    sink: (process, where) => outputs.sink(process, where, scenario.shape),
    letterBox: (process) => outputs.letterBox(process),
  });
  member.start();
  await world.run(world.now + WITHIN, () => member.end !== undefined || world.violations.length > 0);
  if (member.end !== "finished") world.violate("an undisturbed run ends", `its end is ${member.end ?? "none"}`);
  checkFates(scenario, outputs.all, world);
  const byId = new Map<string, Kept>();
  for (const kept of outputs.all) {
    const id = idOf(kept);
    if (byId.has(id)) world.violate("ids are unique", `${id} is that of ${byId.get(id)?.shown} and of ${kept.shown}`);
    byId.set(id, kept);
  }
  return { byId };
}

/** Unique over all places where things are kept. A queue has no order of its own, so its results are known by what they are. */
export function idOf(kept: Kept): string {
  return `${kept.where} ${kept.id}`;
}

/** Each event ends in one place, and in the one that it should. */
function checkFates({ input, shape }: Scenario, all: readonly Kept[], world: World): void {
  const ends = new Map<string, Set<Kept["where"]>>();
  for (const { where, readings } of all) {
    for (const id of readings) ends.set(id, (ends.get(id) ?? new Set()).add(where));
  }
  for (const reading of input.flat()) {
    const fate = fateOf(reading, shape);
    const found = [...(ends.get(reading.id) ?? [])].sort().join(" and ");
    ends.delete(reading.id);
    const wanted = fate === "letter" ? ["letters"] : fate === "passed" ? wantedOf(shape.grouping, shape.second) : [""];
    if (!wanted.includes(found)) {
      world.violate("each event ends in one place", `${reading.id} was to be ${fate}, and is in ${found === "" ? "nothing" : found}`);
    }
  }
  for (const id of ends.keys()) world.violate("no phantoms", `${id} is no event of the input`);
}

function wantedOf(grouping: string, second: boolean): readonly string[] {
  if (grouping === "none" || grouping === "batch") return ["results"];
  // Only full count windows give a result.
  if (grouping === "count" || grouping === "overlapping count") return ["results", ""];
  return second ? ["results", "late", "late and results"] : ["results", "late"];
}
