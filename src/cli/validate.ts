import { readSettings } from "../config/load.ts";
import type { Fault } from "../errors.ts";
import type { TaskSet } from "../tasks/task.ts";
import { EXIT } from "./exit-codes.ts";
import { faultList } from "./failures.ts";
import type { SettingsFlags } from "./settings-flags.ts";
import type { Surroundings } from "./surroundings.ts";
import { readTasks } from "./tasks.ts";

/** `millrace validate`: tells everything that is wrong with settings, products and tasks. */
export async function validate(flags: SettingsFlags, surroundings: Surroundings): Promise<number> {
  const { settings, faults, faulty, warnings } = readSettings({
    file: flags.config,
    sets: flags.set ?? [],
    env: surroundings.env,
    cwd: surroundings.cwd,
  });
  const whereabouts = faulty !== undefined && !faulty.has("products") && !faulty.has("tasks");
  const set = whereabouts ? await readTasks(settings) : undefined;
  const all = [...faults, ...(set === undefined ? [] : faultsOf(set))];
  for (const { where, what } of [...warnings, ...(set === undefined ? [] : warningsOf(set))]) {
    surroundings.err(`millrace: warning: ${where}: ${what}\n`);
  }
  if (all.length > 0) surroundings.err(faultList(all));
  if (set === undefined) surroundings.err("millrace: products and tasks were not checked: first the settings must say where they are\n");
  if (all.length > 0 || set === undefined) return EXIT.config;
  surroundings.out(`All is well: ${counted(set.products.length, "product")}, ${counted(set.valid.size, "task")}.\n`);
  return EXIT.done;
}

function faultsOf(set: TaskSet): readonly Fault[] {
  const faults = [
    ...set.brokenProducts.map(({ name, file, reason }) => ({ where: file, what: `product "${name}": ${reason}` })),
    ...set.awayStores.map(({ store, reason }) => ({ where: store, what: `the tasks can't be read: ${reason}` })),
    ...set.invalid.map(({ id, where, reason }) => ({ where, what: id === where ? reason : `task "${id}": ${reason}` })),
  ];
  if (set.valid.size > 0 || faults.length > 0) return faults;
  return [{ where: "tasks", what: "there is no task; put one into a task store, such as config/tasks/my-task.yaml" }];
}

function warningsOf(set: TaskSet): readonly Fault[] {
  return [...set.valid.values()].flatMap((task) =>
    task.warnings.map((what) => ({ where: task.where, what: `task "${task.id}": ${what}` })),
  );
}

function counted(number: number, thing: string): string {
  return `${number} ${thing}${number === 1 ? "" : "s"}`;
}
