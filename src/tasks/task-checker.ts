import { didYouMean } from "../near-miss.ts";
import type { NoAnswer } from "./catalog-child.ts";
import type { Answer } from "./catalog-messages.ts";
import type { Catalog } from "./catalog.ts";
import { checkShape, isInvalid, uniqueById } from "./check.ts";
import type { Candidate } from "./check.ts";
import type { KnownProduct } from "./inventory.ts";
import type { StoreContents } from "./stores/store.ts";
import type { InvalidTask, TaskDefinition, TaskSet } from "./task.ts";

type Products = ReadonlyMap<string, KnownProduct>;

/** The tasks of some stores, sorted into those that can be run and those that can't. */
export type CheckedTasks = Pick<TaskSet, "valid" | "invalid">;

/** Checks tasks, and remembers the plans that were built, so that a task is only checked again when it or its product changed. */
export class TaskChecker {
  #built: ReadonlyMap<string, Given> = new Map();
  /** Where the valid tasks of the last check come from. */
  #origins = new Map<string, string>();
  #valid: ReadonlyMap<string, TaskDefinition> = new Map();

  /** Checks all that the stores hold. What was valid before and is mistaken now stays valid as it was. */
  async check(stores: readonly StoreContents[], products: Products, catalog: Catalog): Promise<CheckedTasks> {
    const shaped = stores.flatMap((store) => store.tasks).map((task) => ({ origin: task.origin, result: checkShape(task) }));
    const candidates = shaped.flatMap(({ result }) => (isInvalid(result) ? [] : [result]));
    const { first, repeated } = uniqueById(candidates, (id) => this.#origins.get(id));
    const built = await this.#build(first, products, catalog);

    const valid = new Map<string, TaskDefinition>();
    const origins = new Map<string, string>();
    const refused = shaped.flatMap(({ origin, result }) => (isInvalid(result) ? [{ origin, fault: result }] : []));
    for (const { origin, result } of built) {
      if (isInvalid(result)) refused.push({ origin, fault: result });
      else {
        valid.set(result.id, result);
        origins.set(result.id, origin);
      }
    }
    for (const { origin, fault } of refused) {
      const lastGood = this.#lastGood(fault, products);
      if (lastGood === undefined || valid.has(fault.id)) continue;
      valid.set(fault.id, lastGood);
      origins.set(fault.id, origin);
    }
    this.#origins = origins;
    this.#valid = valid;
    const faults = [...refused.map(({ fault }) => fault), ...repeated.map(({ candidate, first }) => repeatedTask(candidate, first))];
    return { valid, invalid: [...stores.flatMap(unreadPlaces), ...faults.map((fault) => ({ ...fault, replaced: valid.has(fault.id) }))] };
  }

  /** A task as it was before somebody made a mistake; undefined when it was never valid, or its product is gone. */
  #lastGood({ id }: InvalidTask, products: Products): TaskDefinition | undefined {
    const before = this.#valid.get(id);
    return before !== undefined && products.get(before.product)?.found.folder === before.folder ? before : undefined;
  }

  async #build(candidates: readonly Candidate[], products: Products, catalog: Catalog): Promise<readonly Built[]> {
    const tasks = candidates.map((candidate) => ({ candidate, task: definitionOf(candidate, products) }));
    const answers = await this.#answers(
      tasks.flatMap(({ task }) => (isInvalid(task) ? [] : [task])),
      catalog,
    );
    return tasks.map(({ candidate, task }) => {
      const result = isInvalid(task) ? task : resultOf(candidate, task, answers.get(buildKey(task)));
      return { origin: candidate.origin, result };
    });
  }

  /** By what they depend on; only what is not known from before is asked. */
  async #answers(tasks: readonly TaskDefinition[], catalog: Catalog): Promise<ReadonlyMap<string, Given>> {
    const answers = new Map(tasks.map((task) => [buildKey(task), this.#built.get(buildKey(task))]));
    const asked = tasks.filter((task) => answers.get(buildKey(task)) === undefined);
    const given = await catalog.ask(asked.map((task) => ({ type: "check", task })));
    for (const [index, task] of asked.entries()) answers.set(buildKey(task), given[index]);
    this.#built = answers;
    return answers;
  }
}

type Given = Answer | NoAnswer | undefined;

interface Built {
  readonly origin: string;
  readonly result: TaskDefinition | InvalidTask;
}

/** What the answer depends on. */
function buildKey({ id, folder, code, instances, config }: TaskDefinition): string {
  return JSON.stringify([id, folder, code, instances, config]);
}

function definitionOf(candidate: Candidate, products: Products): TaskDefinition | InvalidTask {
  const product = products.get(candidate.product);
  if (product === undefined) {
    const known = [...products.keys()];
    const hint = didYouMean(candidate.product, known) || ` There ${known.length === 0 ? "are none" : `is ${known.join(", ")}`}.`;
    return invalidTask(candidate, `product: there is no product "${candidate.product}".${hint}`);
  }
  if (product.broken !== undefined) {
    const { file, reason } = product.broken;
    return invalidTask(candidate, `product "${candidate.product}" can't be used: ${file}: ${reason}`);
  }
  const { id, instances, enabled, config, secrets, where } = candidate;
  const { name, folder } = product.found;
  return { id, product: name, folder, code: product.code, instances, enabled, config, secrets, where, warnings: [] };
}

function resultOf(candidate: Candidate, task: TaskDefinition, answer: Given): TaskDefinition | InvalidTask {
  if (answer?.type === "valid") return { ...task, warnings: answer.warnings };
  if (answer?.type === "invalid") return invalidTask(candidate, answer.reasons.join("; "));
  const what = answer?.type === "none" ? answer.reason : "was not answered";
  return invalidTask(candidate, `the pipeline of product "${task.product}" failed to build: pipeline() ${what}`);
}

function invalidTask({ id, product, where }: Candidate, reason: string): InvalidTask {
  return { id, product, where, reason, replaced: false };
}

function repeatedTask({ id, product, where }: Candidate, first: Candidate): InvalidTask {
  return { id, product, where, reason: `id: ${first.where} already has a task "${id}"`, replaced: false };
}

function unreadPlaces(store: StoreContents): readonly InvalidTask[] {
  return store.faults.map(({ where, what }) => ({ id: where, product: undefined, where, reason: what, replaced: false }));
}
