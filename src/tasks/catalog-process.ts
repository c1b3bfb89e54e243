/**
 * The process that runs product code for the task manager: it imports products and builds the plan of each task once. A
 * product may hang, end the process or fill the memory here and harms nothing but this process. See catalog.ts.
 */
import { Worker } from "node:worker_threads";

import type { Logger } from "../contracts.ts";
import { ConfigError, messageOf, shortened } from "../errors.ts";
import type { Fault } from "../errors.ts";
import type { PlannedModel } from "../model.ts";
import { plannedModels } from "../pipeline/plan-parts.ts";
import { planWarnings } from "../pipeline/plan-warnings.ts";
import { keepsCheckpoints } from "../pipeline/state/open-checkpoints.ts";
import { redact } from "../secrets.ts";
import type { Answer, Asked, FromCatalog, Question } from "./catalog-messages.ts";
import { faultOf } from "./product-faults.ts";
import { buildPlan, jsonSchema, loadProduct } from "./products.ts";
import type { TaskDefinition } from "./task.ts";

/** Products get a logger that is silent: what they log here was logged, or will be, where the task runs. */
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {}, child: () => silent };

/** Kept from products: what they send would be taken for an answer. */
const sendToParent = process.send?.bind(process) as ((message: FromCatalog, done: () => void) => boolean) | undefined;
delete process.send;

function tell(message: FromCatalog): Promise<void> {
  return new Promise((resolve) => {
    if (sendToParent === undefined) throw new Error("this program is started by the task manager, not by hand");
    sendToParent(message, () => resolve());
  });
}

/**
 * Ends this process when its parent is gone, even while product code hangs: the channel's `disconnect` is only told of
 * as long as the event loop turns.
 */
function dieWithParent(): void {
  const source = `
    const parent = require("node:worker_threads").workerData;
    setInterval(() => { if (process.ppid !== parent) process.kill(process.pid, "SIGKILL"); }, 500);`;
  const options = { eval: true, workerData: process.ppid, execArgv: [], resourceLimits: { maxOldGenerationSizeMb: 16 } };
  new Worker(source, options).unref();
  process.on("disconnect", () => process.exit());
}

async function answer(question: Question): Promise<Answer> {
  switch (question.type) {
    case "load":
      return await load(question.folder);
    case "tasks":
      return await ownTasks(question.folder);
    case "check":
      return await check(question.task);
  }
}

async function load(folder: string): Promise<Answer> {
  try {
    const product = await loadProduct(folder);
    return { type: "loaded", description: product.description, schema: jsonSchema(product), hasTasks: product.tasks !== undefined };
  } catch (error) {
    return { type: "broken", fault: firstFault(error, folder) };
  }
}

/** A fault of the task itself is told at its place; others are elsewhere, as in the file of a model. */
function shownFault({ where, what }: Fault, task: TaskDefinition): string {
  return where === task.where ? what : `${where}: ${what}`;
}

function firstFault(error: unknown, folder: string): Fault {
  const [fault] = error instanceof ConfigError ? error.faults : [];
  return fault ?? { where: folder, what: messageOf(error) };
}

async function ownTasks(folder: string): Promise<Answer> {
  const end = new AbortController();
  try {
    const product = await loadProduct(folder);
    const tasks: unknown = await product.tasks?.({ signal: end.signal, logger: silent });
    if (!Array.isArray(tasks)) throw new TypeError("it must give a list of tasks");
    // Only what can be said in JSON can be a task: functions and the like would not reach a worker.
    return { type: "tasks", tasks: JSON.parse(JSON.stringify(tasks)) as unknown[] };
  } catch (error) {
    const { where, what } = faultOf(error, undefined, folder);
    return { type: "broken", fault: { where, what: redact(what) } };
  } finally {
    end.abort();
  }
}

async function check(task: TaskDefinition): Promise<Answer> {
  const end = new AbortController();
  try {
    const product = await loadProduct(task.folder);
    const identity = { id: task.id, product: task.product, instance: 0, instances: task.instances };
    const plan = buildPlan(product, task, { task: identity, logger: silent, signal: end.signal });
    const models = plannedModels(plan);
    const warnings = [...planWarnings(plan), ...(await modelWarnings(models))].map((warning) => redact(warning, task.secrets));
    const modelFiles = [...new Set(models.flatMap(({ spec }) => spec.files ?? []))];
    const statefulSteps = plan.steps.filter(({ stateful }) => stateful).map(({ name }) => name);
    return { type: "valid", warnings, keepsCheckpoints: keepsCheckpoints(plan), statefulSteps, modelFiles };
  } catch (error) {
    const reasons = error instanceof ConfigError ? error.faults.map((fault) => shownFault(fault, task)) : [messageOf(error)];
    return { type: "invalid", reasons: reasons.map((reason) => shortened(redact(reason, task.secrets))) };
  } finally {
    end.abort();
  }
}

/**
 * Looks whether the models of a plan can be loaded at all.
 * @returns what is wrong with those that it can do without
 * @throws what is wrong with one that it needs
 */
async function modelWarnings(models: readonly PlannedModel[]): Promise<readonly string[]> {
  const warnings: string[] = [];
  for (const { spec, options, need } of models) {
    try {
      await spec.check?.();
    } catch (error) {
      if (need === "needed") throw error;
      warnings.push(`step "${options.step}": ${messageOf(error)}`);
    }
  }
  return warnings;
}

function uncaught(kind: string): (thrown: unknown) => void {
  return (thrown) => {
    void tell({ type: "uncaught", what: `${kind}: ${redact(messageOf(thrown))}` }).then(() => process.exit(1));
  };
}

dieWithParent();
// Ctrl+C in a terminal reaches this process too; its parent decides what ends when.
for (const signal of ["SIGINT", "SIGHUP"] as const) process.on(signal, () => undefined);
process.on("uncaughtException", uncaught("an exception that nothing caught"));
process.on("unhandledRejection", uncaught("a rejected promise that nothing awaited"));
process.on("message", (asked: Asked) => {
  void answer(asked.question).then((given) => tell({ type: "answer", number: asked.number, answer: given }));
});
// What every product imports takes its time, which is not the product's.
await import("millrace");
await tell({ type: "ready" });
