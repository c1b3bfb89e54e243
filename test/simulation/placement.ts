import type { Behaviour } from "../supervisor/simulated-fleet.ts";
import { change, definition, Simulation } from "../supervisor/simulated-fleet.ts";
import { Random } from "./random.ts";
import type { World } from "./world.ts";

/** Waits so short that what comes back comes back within a simulated minute. */
const SETTINGS = {
  restart: { min: 500, max: 4000, resetAfter: 10_000 },
  quarantine: { after: 3, min: 2000, max: 8000 },
  worker: { heartbeat: 3000, startTimeout: 5000, rssLimit: 500 * 1024 * 1024 },
};

/** Enough for everything to run again once nothing goes wrong any more, in milliseconds. */
const WELL_WITHIN = 60_000;

/** Lets a supervisor place tasks on workers that die, hang and leak, by the same seed, and looks where their instances are. */
export function placeTasks(seed: number, world: World): void {
  const random = new Random(seed, "placement");
  const workers = random.int(1, 3);
  const simulation = new Simulation({ seed, settings: { ...SETTINGS, workers } });
  const tasks = Array.from({ length: random.int(1, 6) }, (_, index) => definition(`t${index}`, { instances: random.int(1, 3) }));
  const removed = new Set<string>();
  simulation.add(...tasks);
  for (let step = random.int(1, 8); step > 0; step--) {
    const task = random.pick(tasks);
    const what = random.pick(["misbehaves", "misbehaves", "worker dies", "changes", "removed"]);
    if (what === "misbehaves") simulation.behaviours.set(task.id, misdeed(random));
    else if (what === "worker dies") dieOne(simulation, random);
    else if (!removed.has(task.id)) {
      if (what === "changes") simulation.fleet.apply(change({ changed: [{ ...task, config: { step } }] }));
      else {
        removed.add(task.id);
        simulation.fleet.apply(change({ removed: [task] }));
      }
    }
    for (let waits = random.int(1, 16); waits > 0; waits--) {
      simulation.run(250);
      checkAlone(simulation, world);
    }
  }
  simulation.behaviours.clear();
  simulation.run(WELL_WITHIN);
  checkAlone(simulation, world);
  for (const { id, instances } of tasks) {
    const where = simulation.workersOf(id).filter((worker) => worker !== undefined);
    const state = simulation.states()[id];
    if (removed.has(id) ? where.length > 0 : state !== "running" || where.length !== instances) {
      world.violate("tasks run where they are placed", `${id}: ${state ?? "removed"}, on ${where.length} workers of ${instances}`);
    }
  }
  const numbers = [...simulation.processes.values()].map(({ number }) => number);
  if (numbers.length > workers) world.violate("no more workers than wanted", `${numbers.length} of ${workers}`);
}

function misdeed(random: Random): Behaviour {
  const after = random.int(0, 4000);
  return random.pick<Behaviour>([
    { diesAfter: after, named: random.chance(0.5) },
    { diesAfter: after, signal: "SIGKILL" },
    { hangsAfter: after, named: random.chance(0.5) },
    { leaks: 100 * 1024 * 1024 },
    { ends: { how: "failed", kind: "infrastructure", reason: "the broker is away" } },
    { stubborn: true },
  ]);
}

function dieOne(simulation: Simulation, random: Random): void {
  const all = [...simulation.processes.keys()];
  if (all.length > 0) simulation.die(random.pick(all), { code: null, signal: "SIGKILL" });
}

/** No instance runs in two processes at a time. */
function checkAlone(simulation: Simulation, world: World): void {
  const seen = new Set<string>();
  for (const { id, runs } of simulation.processes.values()) {
    for (const { assignment } of runs.values()) {
      const name = `${assignment.task.id}/${assignment.instance}`;
      if (seen.has(name)) world.violate("an instance runs once", `${name} runs in two places, one of them worker ${id}`);
      seen.add(name);
    }
  }
}
