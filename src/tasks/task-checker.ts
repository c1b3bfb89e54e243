import { within } from "../clock.ts";
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

/** The tasks of some stores, sorted into those that can be run, those that can't, and those of which it is not known yet. */
export interface CheckedTasks extends Pick<TaskSet, "valid" | "invalid" | "pending"> {
  /** Settles when all that this check has asked is answered; undefined when it is. */
  readonly answered: Promise<void> | undefined;
}

/** Checks tasks, and remembers the plans that were built, so that a task is only checked again when it or its product changed. */
export class TaskChecker {
  /** Answers, by what they depend on. */
  #built: ReadonlyMap<string, Given> = new Map();
  /** What is being asked. */
  readonly #asked = new Set<string>();
  /** What was answered after the check that asked it had gone on without. */
  readonly #late = new Map<string, Given>();
  /** Where the valid tasks of the last check come from. */
  #origins = new Map<string, string>();
  #valid: ReadonlyMap<string, TaskDefinition> = new Map();

  /**
   * Checks all that the stores hold. What was valid before and is mistaken now stays valid as it was.
   * @param hold answers that take longer are not waited for: their tasks are pending. Milliseconds; undefined: all are
   */
  async check(stores: readonly StoreContents[], products: Products, catalog: Catalog, hold: number | undefined): Promise<CheckedTasks> {
    const shaped = stores.flatMap((store) => store.tasks).map((task) => ({ origin: task.origin, result: checkShape(task) }));
    const candidates = shaped.flatMap(({ result }) => (isInvalid(result) ? [] : [result]));
    const { first, repeated } = uniqueById(candidates, (id) => this.#origins.get(id));
    const tasks = first.map((candidate) => ({ candidate, task: definitionOf(candidate, products) }));
    const { answers, answered } = await this.#answers(
      tasks.flatMap(({ task }) => (isInvalid(task) ? [] : [{ task, key: buildKey(task, products) }])),
      catalog,
      hold,
    );

    const valid = new Map<string, TaskDefinition>();
    const origins = new Map<string, string>();
    const take = (task: TaskDefinition, origin: string) => {
      valid.set(task.id, task);
      origins.set(task.id, origin);
    };
    const refused = shaped.flatMap(({ origin, result }) => (isInvalid(result) ? [{ origin, fault: result }] : []));
    const open: Candidate[] = [];
    for (const { candidate, task } of tasks) {
      const answer = isInvalid(task) ? undefined : answers.get(buildKey(task, products));
      if (isInvalid(task)) refused.push({ origin: candidate.origin, fault: task });
      else if (answer === undefined) open.push(candidate);
      else {
        const result = resultOf(candidate, task, answer);
        if (isInvalid(result)) refused.push({ origin: candidate.origin, fault: result });
        else take(result, candidate.origin);
      }
    }
    for (const { id, origin } of [...open, ...refused.map(({ origin, fault }) => ({ id: fault.id, origin }))]) {
      const lastGood = valid.has(id) ? undefined : this.#lastGood(id, products);
      if (lastGood !== undefined) take(lastGood, origin);
    }
    this.#origins = origins;
    this.#valid = valid;
    const faults = [...refused.map(({ fault }) => fault), ...repeated.map(({ candidate, first }) => repeatedTask(candidate, first))];
    const invalid = [...stores.flatMap(unreadPlaces), ...faults.map((fault) => ({ ...fault, replaced: valid.has(fault.id) }))];
    return { valid, invalid, pending: open.map(({ id }) => id), answered };
  }

  /** Whether there are answers that no check has seen yet. */
  get hasNews(): boolean {
    return this.#late.size > 0;
  }

  /** A task as it was before somebody changed it; undefined when it was never valid, or its product is gone. */
  #lastGood(id: string, products: Products): TaskDefinition | undefined {
    const before = this.#valid.get(id);
    return before !== undefined && products.get(before.product)?.found.folder === before.folder ? before : undefined;
  }

  /** Only what is not known from before, and not being asked already, is asked. */
  async #answers(
    tasks: readonly { readonly task: TaskDefinition; readonly key: string }[],
    catalog: Catalog,
    hold: number | undefined,
  ): Promise<Answers> {
    const answers = new Map(tasks.map(({ key }) => [key, this.#late.get(key) ?? this.#built.get(key)]));
    this.#late.clear();
    const asked = tasks.filter(({ key }) => answers.get(key) === undefined && !this.#asked.has(key));
    const askedKeys = asked.map(({ key }) => key);
    for (const key of askedKeys) this.#asked.add(key);
    let waits = true;
    const asking = catalog.ask(
      asked.map(({ task }) => ({ type: "check", task })),
      (index, answer) => {
        const key = askedKeys[index] ?? "";
        this.#asked.delete(key);
        (waits ? answers : this.#late).set(key, answer);
      },
    );
    const answered = asking.then(
      () => undefined,
      (error: unknown) => {
        for (const key of askedKeys) this.#asked.delete(key);
        throw error;
      },
    );
    const done = await within(answered, hold);
    waits = false;
    this.#built = answers;
    return { answers, answered: done ? undefined : answered };
  }
}

interface Answers {
  readonly answers: ReadonlyMap<string, Given>;
  readonly answered: CheckedTasks["answered"];
}

type Given = Answer | NoAnswer | undefined;

/** What the answer depends on: also on the files of models, which are no part of the task's code. */
function buildKey({ id, product, folder, code, instances, config }: TaskDefinition, products: Products): string {
  return JSON.stringify([id, folder, code, products.get(product)?.files, instances, config]);
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
  return {
    id,
    product: name,
    folder,
    code: product.code,
    instances,
    enabled,
    config,
    secrets,
    where,
    warnings: [],
    keepsCheckpoints: false,
    statefulSteps: [],
    modelFiles: [],
  };
}

function resultOf(candidate: Candidate, task: TaskDefinition, answer: Answer | NoAnswer): TaskDefinition | InvalidTask {
  if (answer.type === "valid") {
    const { warnings, keepsCheckpoints, statefulSteps, modelFiles } = answer;
    return { ...task, warnings, keepsCheckpoints, statefulSteps, modelFiles };
  }
  if (answer.type === "invalid") return invalidTask(candidate, answer.reasons.join("; "));
  const what = answer.type === "none" ? answer.reason : "was not answered";
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
