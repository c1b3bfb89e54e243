import assert from "node:assert/strict";
import { test } from "node:test";

import { change, definition, Simulation } from "./simulated-fleet.ts";

const MIB = 1024 * 1024;

function tasks(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `t${index}`);
}

test("instances are spread over the workers, least loaded first", () => {
  const simulation = new Simulation();
  simulation.add(...tasks(10).map((id) => definition(id)), definition("wide", { instances: 2 }));
  simulation.run(2000);
  const loads = new Map<number | undefined, number>();
  for (const id of tasks(10)) for (const worker of simulation.workersOf(id)) loads.set(worker, (loads.get(worker) ?? 0) + 1);
  assert.deepEqual([...loads.values()], [5, 5]);
  assert.deepEqual(new Set(simulation.workersOf("wide")), new Set([1, 2]));
  assert.ok(Object.values(simulation.states()).every((state) => state === "running"));
});

test("a change starts, restarts and stops exactly its tasks", () => {
  const simulation = new Simulation();
  simulation.add(...["a", "b", "c"].map((id) => definition(id)));
  simulation.run(2000);
  simulation.fleet.apply(
    change({ added: [definition("d")], changed: [definition("b", { config: { x: 1 } })], removed: [definition("c")] }),
  );
  simulation.run(2000);
  assert.deepEqual(simulation.states(), { a: "running", b: "running", d: "running" });
  assert.deepEqual(Object.fromEntries(simulation.starts), { a: 1, b: 2, c: 1, d: 1 });
});

test("a task that is not enabled is shown as stopped and never started", () => {
  const simulation = new Simulation();
  simulation.add(definition("a", { enabled: false }));
  simulation.run(2000);
  assert.deepEqual(simulation.states(), { a: "stopped" });
  assert.equal(simulation.starts.size, 0);
});

test("a worker killed from outside is replaced, its tasks run again, and nobody is blamed however often", () => {
  const simulation = new Simulation();
  simulation.add(...tasks(4).map((id) => definition(id)));
  simulation.run(2000);
  for (let killed = 0; killed < 10; simulation.run(1000)) {
    const [victim] = [...simulation.processes.keys()];
    if (victim === undefined) continue;
    simulation.die(victim, { code: null, signal: "SIGKILL" });
    killed++;
  }
  simulation.run(90_000);
  assert.ok(Object.values(simulation.states()).every((state) => state === "running"));
  assert.deepEqual(new Set([...simulation.processes.values()].map(({ number }) => number)), new Set([1, 2]));
  assert.equal(simulation.fleet.workerRestarts, 10);
});

test("a task whose workers are killed as if from outside, each time soon after it began, is found and quarantined; the others run on", () => {
  const simulation = new Simulation();
  for (const id of ["t5", "t16"]) simulation.behaviours.set(id, { diesAfter: 1000, signal: "SIGKILL" });
  simulation.add(...tasks(28).map((id) => definition(id)));
  simulation.run(120_000);
  const before = new Map(simulation.starts);
  simulation.run(400_000);
  for (const id of tasks(28)) {
    if (simulation.behaviours.has(id)) {
      assert.equal(simulation.states()[id], "quarantined");
      assert.match(simulation.fleet.views().find((view) => view.id === id)?.reason ?? "", /it makes its worker die \(signal SIGKILL/);
    } else {
      assert.equal(simulation.states()[id], "running");
      assert.ok((simulation.starts.get(id) ?? 0) <= (before.get(id) ?? 0) + 1, "only brought back to a regular worker");
    }
  }
});

test("a task is not quarantined for ten kills of the worker that it is on, nor for any number of kills that hit others too", () => {
  const simulation = new Simulation();
  simulation.add(definition("a", { instances: 2 }));
  for (let killed = 0; killed < 60; simulation.run(1500)) {
    const all = [...simulation.processes.values()];
    const victim = killed < 10 ? all.find(({ runs }) => runs.size > 0) : all[killed % all.length];
    if (victim === undefined) continue;
    simulation.die(victim.id, { code: null, signal: "SIGKILL" });
    killed++;
    assert.notEqual(simulation.states()["a"], "quarantined", `after ${killed} kills`);
  }
  simulation.run(300_000);
  assert.equal(simulation.states()["a"], "running");
  assert.deepEqual(new Set(simulation.workersOf("a")), new Set([1, 2]), "back on the regular workers");
});

test("workers that are killed all at once make no suspect of the tasks that ran in all of them", () => {
  const simulation = new Simulation({ settings: { workers: 8 } });
  simulation.add(definition("wide", { instances: 8 }), ...tasks(8).map((id) => definition(id)));
  for (let time = 0; time < 2; time++) {
    simulation.run(5000);
    for (const victim of simulation.processes.keys()) simulation.die(victim, { code: null, signal: "SIGKILL" });
  }
  simulation.run(5000);
  assert.ok(Math.max(...[...simulation.processes.values()].map(({ number }) => number)) <= 8, "no task is tried");
  assert.ok(Object.values(simulation.states()).every((state) => state === "running"));
});

test("a worker that can't be started is tried again, and nobody is blamed", () => {
  const simulation = new Simulation({ settings: { workers: 1 } });
  simulation.add(...tasks(3).map((id) => definition(id)));
  for (let refused = 0; refused < 4; simulation.run(1000)) {
    const [born] = simulation.processes.keys();
    if (born === undefined) continue;
    simulation.die(born, { code: null, signal: null, refused: "spawn EAGAIN" });
    refused++;
  }
  simulation.run(60_000);
  assert.deepEqual(simulation.states(), { t0: "running", t1: "running", t2: "running" });
  assert.equal(simulation.processes.size, 1);
  assert.ok(simulation.log.includes("worker 1 is replaced: it could not be started: spawn EAGAIN"));
});

test("counts never fall when a worker dies", () => {
  const simulation = new Simulation();
  simulation.add(definition("a"));
  simulation.run(10_000);
  const before = simulation.fleet.views()[0]?.instances[0];
  assert.ok(before !== undefined && before.in > 5000);
  simulation.die([...simulation.processes.keys()][0] as number, { code: null, signal: "SIGSEGV" });
  for (let step = 0; step < 20; step++) {
    simulation.run(250);
    assert.ok((simulation.fleet.views()[0]?.instances[0]?.in ?? 0) >= before.in);
  }
  assert.equal(simulation.fleet.views()[0]?.instances[0]?.restarts, 1);
});

test("a task that names itself as it ends its worker is tried alone, then quarantined with a growing back-off; the others run on", () => {
  const simulation = new Simulation();
  simulation.behaviours.set("t5", { diesAfter: 1000, named: true });
  simulation.add(...tasks(20).map((id) => definition(id)));
  simulation.run(20_000);
  assert.equal(simulation.states()["t5"], "quarantined");
  assert.match(
    simulation.fleet.views().find(({ id }) => id === "t5")?.reason ?? "",
    /exit code 3: process\.exit was called.*tried again at/,
  );
  assert.equal(simulation.starts.get("t5"), 4, "once among the others, three times alone");
  for (const id of tasks(20)) if (id !== "t5") assert.equal(simulation.states()[id], "running");
  const shared = tasks(20).filter((id) => id !== "t5" && (simulation.starts.get(id) ?? 0) > 2);
  assert.deepEqual(shared, [], "no other task lost its worker more than once");
  simulation.run(60_000);
  assert.equal(simulation.starts.get("t5"), 5, "tried again after a minute");
  simulation.run(60_000);
  assert.equal(simulation.starts.get("t5"), 5);
  simulation.run(60_000);
  assert.equal(simulation.starts.get("t5"), 6, "and again after two more");
});

test("a task that has become harmless comes back from quarantine", () => {
  const simulation = new Simulation();
  simulation.behaviours.set("t1", { diesAfter: 1000, named: true });
  simulation.add(...tasks(4).map((id) => definition(id)));
  simulation.run(20_000);
  assert.equal(simulation.states()["t1"], "quarantined");
  simulation.behaviours.delete("t1");
  simulation.run(70_000);
  assert.equal(simulation.states()["t1"], "running");
  assert.ok((simulation.workersOf("t1")[0] ?? 0) > 2, "on trial");
  simulation.run(70_000);
  assert.ok((simulation.workersOf("t1")[0] ?? 9) <= 2, "back on a regular worker");
  assert.equal(simulation.processes.size, 2);
});

test("a reload gives a task in quarantine a new chance at once", () => {
  const simulation = new Simulation();
  simulation.behaviours.set("t1", { diesAfter: 1000, named: true });
  simulation.add(...tasks(4).map((id) => definition(id)));
  simulation.run(20_000);
  simulation.behaviours.delete("t1");
  simulation.fleet.retry();
  simulation.run(2000);
  assert.equal(simulation.states()["t1"], "running");
  assert.ok((simulation.workersOf("t1")[0] ?? 9) <= 2);
});

test("a task is blamed also for what a run that has ended left behind", () => {
  const simulation = new Simulation();
  simulation.behaviours.set("t1", { ends: { how: "failed", kind: "infrastructure", reason: "no answer" } });
  simulation.add(...tasks(4).map((id) => definition(id)));
  simulation.run(2000);
  for (let deaths = 0; deaths < 4 && simulation.now < 2_000_000; simulation.run(1000)) {
    const last = [...simulation.processes.values()].at(-1);
    assert.ok(last !== undefined);
    if (deaths > 0 && last.number <= 2) continue;
    simulation.fleet.words(last.id, { why: "exception", task: "t1", what: "too late" });
    simulation.die(last.id, { code: 70, signal: null });
    deaths++;
  }
  assert.equal(simulation.states()["t1"], "quarantined");
  for (const id of tasks(4)) assert.ok(id === "t1" || (simulation.starts.get(id) ?? 0) <= 2, "no other is a suspect");
});

test("a task that has ended is not tried for what it left behind, and nobody else is", () => {
  const simulation = new Simulation();
  simulation.behaviours.set("t1", { ends: { how: "finished" } });
  simulation.add(...tasks(4).map((id) => definition(id)));
  for (let deaths = 0; deaths < 3; deaths++) {
    simulation.run(5000);
    const [first] = simulation.processes.values();
    assert.ok(first !== undefined);
    simulation.fleet.words(first.id, { why: "exception", task: "t1", what: "too late" });
    simulation.die(first.id, { code: 70, signal: null });
  }
  simulation.run(5000);
  assert.deepEqual(simulation.states(), { t0: "running", t1: "finished", t2: "running", t3: "running" });
  assert.equal(simulation.processes.size, 2);
});

test("a hang is found, and its task quarantined", () => {
  const simulation = new Simulation();
  simulation.behaviours.set("t3", { hangsAfter: 2000, named: true });
  simulation.add(...tasks(8).map((id) => definition(id)));
  simulation.run(90_000);
  assert.equal(simulation.states()["t3"], "quarantined");
  assert.match(simulation.fleet.views().find(({ id }) => id === "t3")?.reason ?? "", /hang: no sign of life for 10 s, it loops/);
  assert.equal(Object.values(simulation.states()).filter((state) => state === "running").length, 7);
});

test("a worker that waits for a processor is not taken for one that hangs, up to a point", () => {
  const simulation = new Simulation();
  simulation.add(definition("a"));
  simulation.run(2000);
  const process = [...simulation.processes.values()].find(({ runs }) => runs.size === 1);
  assert.ok(process !== undefined);
  process.silent = true;
  const from = simulation.now;
  simulation.starvedFor = () => 0.9 * (simulation.now - from);
  simulation.run(25_000);
  assert.deepEqual(simulation.killed, []);
  simulation.run(10_000);
  assert.deepEqual(simulation.killed, [process.id]);
});

test("a supervisor that did not run itself blames no worker for the silence", () => {
  const simulation = new Simulation();
  simulation.add(definition("a"));
  simulation.run(5000);
  simulation.now += 60_000;
  simulation.run(5000);
  assert.deepEqual(simulation.killed, []);
  assert.equal(simulation.starts.get("a"), 1);
});

test("a task that crashes its worker without a trace is found among many, and the others run on", () => {
  const simulation = new Simulation();
  simulation.behaviours.set("t77", { diesAfter: 3000, signal: "SIGSEGV" });
  simulation.add(...tasks(150).map((id) => definition(id)));
  simulation.run(120_000);
  assert.equal(simulation.states()["t77"], "quarantined");
  simulation.run(120_000);
  const running = Object.entries(simulation.states()).filter(([, state]) => state === "running");
  assert.equal(running.length, 149);
  assert.equal(simulation.processes.size, 2, "the trials are over");
  const most = Math.max(...[...simulation.starts].filter(([id]) => id !== "t77").map(([, starts]) => starts));
  assert.ok(most <= 8, `an innocent task was started ${most} times`);
});

test("leaking tasks are found among many", () => {
  const simulation = new Simulation();
  for (const id of ["t10", "t100", "t203"]) simulation.behaviours.set(id, { leaks: 40 * MIB });
  simulation.add(...tasks(300).map((id) => definition(id)));
  simulation.run(400_000);
  const quarantined = Object.entries(simulation.states()).filter(([, state]) => state === "quarantined");
  assert.deepEqual(quarantined.map(([id]) => id).toSorted(), ["t10", "t100", "t203"]);
  assert.match(
    simulation.fleet.views().find(({ id }) => id === "t10")?.reason ?? "",
    /memory: the worker holds more than the limit of 500 MiB/,
  );
});

test("a worker that is replaced for its memory ends as soon as its runs have", () => {
  const simulation = new Simulation({ settings: { workers: 1 } });
  simulation.behaviours.set("a", { leaks: 200 * MIB });
  simulation.add(definition("a"), definition("b"));
  const [first] = simulation.processes.keys();
  simulation.run(4500);
  assert.deepEqual(
    simulation.log.filter((line) => line.includes("is replaced")),
    ["worker 1 is replaced: memory: the worker holds more than the limit of 500 MiB (600 MiB)"],
  );
  assert.ok(!simulation.processes.has(first as number));
  assert.deepEqual(simulation.killed, [], "it was told to exit");
});

test("many killers of several kinds among 300 tasks are all found, and only they", () => {
  for (const seed of [1, 2, 3]) {
    const simulation = new Simulation({ seed });
    const bad: string[] = [];
    for (let index = 0; index < 12; index++) {
      const id = `t${index * 23 + seed}`;
      bad.push(id);
      if (index % 4 === 0) simulation.behaviours.set(id, { hangsAfter: 1000 * index, named: true });
      if (index % 4 === 1) simulation.behaviours.set(id, { diesAfter: 700 * index, named: true });
      if (index % 4 === 2) simulation.behaviours.set(id, { leaks: 60 * MIB });
      if (index % 4 === 3) simulation.behaviours.set(id, { diesAfter: 900 * index, signal: "SIGABRT" });
    }
    simulation.add(...tasks(300).map((id) => definition(id)));
    const caught = new Set<string>();
    for (let minute = 0; minute < 20 && caught.size < bad.length; minute++) {
      simulation.run(60_000);
      for (const [id, state] of Object.entries(simulation.states())) if (state === "quarantined") caught.add(id);
    }
    assert.deepEqual([...caught].toSorted(), bad.toSorted(), `seed ${seed}`);
  }
});

test("a data error fails the task at once and for good, and stops its other instances", () => {
  const simulation = new Simulation();
  simulation.behaviours.set("a", { ends: { how: "failed", kind: "final", reason: 'step "map" at file x:3: boom' } });
  simulation.add(definition("a"), definition("b"));
  simulation.run(120_000);
  assert.equal(simulation.states()["a"], "failed");
  assert.equal(simulation.starts.get("a"), 1);
  assert.equal(simulation.fleet.views()[0]?.reason, 'step "map" at file x:3: boom');
  simulation.behaviours.delete("a");
  simulation.fleet.retry();
  simulation.run(2000);
  assert.equal(simulation.states()["a"], "running");
});

test("a task too many of whose events fail is paused with all its instances, until it is asked for or changed", () => {
  const simulation = new Simulation();
  const reason = "paused: 100 of the 100 events of the last 30 s failed";
  simulation.behaviours.set("a", { ends: { how: "failed", kind: "paused", reason } });
  simulation.add({ ...definition("a"), instances: 2 });
  simulation.run(120_000);
  const [view] = simulation.fleet.views();
  assert.deepEqual([view?.state, view?.reason], ["paused", reason]);
  assert.equal(simulation.starts.get("a"), 2);
  simulation.behaviours.delete("a");
  simulation.fleet.retry();
  simulation.run(2000);
  assert.equal(simulation.states()["a"], "running");
});

test("what may pass is tried again with a growing back-off; what is missing counts as starting", () => {
  const simulation = new Simulation();
  simulation.behaviours.set("away", { ends: { how: "failed", kind: "infrastructure", reason: "the broker is away" } });
  simulation.behaviours.set("missing", { ends: { how: "failed", kind: "not-ready", reason: "there is no topic x" } });
  simulation.behaviours.set("odd", { ends: { how: "failed", kind: "unknown", reason: "what?" } });
  simulation.add(definition("away"), definition("missing"), definition("odd"));
  simulation.run(10_000);
  assert.deepEqual(simulation.states(), { away: "backing-off", missing: "starting", odd: "backing-off" });
  simulation.run(290_000);
  assert.deepEqual(simulation.states(), { away: "backing-off", missing: "starting", odd: "failed" });
  const tries = simulation.starts.get("away") ?? 0;
  assert.ok(tries >= 8 && tries <= 16, `${tries} tries in 5 minutes`);
  for (const reason of ["the broker is away", "there is no topic x", "what?"])
    assert.equal(simulation.log.filter((line) => line === reason).length, 1, "one line as long as the reason is the same");
  simulation.behaviours.clear();
  simulation.run(61_000);
  assert.deepEqual(simulation.states(), { away: "running", missing: "running", odd: "failed" });
});

test("a run that does not stop is given up, and then its worker is replaced", () => {
  const simulation = new Simulation();
  simulation.behaviours.set("a", { stubborn: true });
  simulation.add(definition("a"), definition("b"), definition("c"));
  simulation.run(2000);
  simulation.fleet.apply(change({ removed: [definition("a")] }));
  simulation.run(19_000);
  assert.equal(simulation.killed.length, 0);
  simulation.run(20_000);
  assert.equal(simulation.killed.length, 1);
  assert.deepEqual(simulation.states(), { b: "running", c: "running" });
});

test("a task that can't stop because another hangs is not blamed for it", () => {
  const simulation = new Simulation({ settings: { workers: 1, shutdown: { timeout: 1000 } } });
  simulation.behaviours.set("a", { hangsAfter: 2000, named: true });
  simulation.add(definition("a"), definition("b"), definition("c"));
  simulation.run(3500);
  simulation.fleet.apply(change({ removed: [definition("b")] }));
  simulation.run(12_000);
  assert.equal(simulation.killed.length, 1);
  assert.deepEqual(
    simulation.log.filter((line) => line.includes("is replaced")),
    ["worker 1 is replaced: hang: no sign of life for 10 s, it loops"],
  );
});

test("a drain stops everything and ends the workers", () => {
  const simulation = new Simulation();
  simulation.behaviours.set("bad", { diesAfter: 1000, named: true });
  simulation.add(...tasks(10).map((id) => definition(id)), definition("bad"));
  simulation.run(10_000);
  simulation.fleet.drain();
  simulation.run(1000);
  assert.ok(simulation.fleet.drained);
  assert.equal(simulation.processes.size, 0);
  assert.equal(simulation.fleet.lost, 0);
  assert.equal(simulation.states()["t1"], "stopped");
});

test("a drain before any worker is ready ends too", () => {
  const simulation = new Simulation();
  simulation.add(definition("a"));
  simulation.fleet.drain();
  simulation.run(1000);
  assert.ok(simulation.fleet.drained);
});
