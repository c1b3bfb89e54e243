import type { RunContext, TaskIdentity } from "../../contracts.ts";
import { milliseconds, positiveMilliseconds } from "../../duration.ts";
import { PlanError } from "../../errors.ts";
import type { PlannedModel } from "../../model.ts";
import type { CallFunction, CallPolicy } from "../call.ts";
import { callPolicy } from "../call.ts";
import { callableOf, wholeNumber } from "../given.ts";
import type { Asking, InferOptions } from "../infer.ts";
import { askFunction, askModel, batchingOf } from "../infer.ts";
import type { PlannedStep } from "../plan.ts";
import { canBeOpened } from "../plan.ts";
import type { Answerer } from "./answerer.ts";
import { CanaryJudge } from "./canary-judge.ts";
import type { CanaryLimits } from "./canary-judge.ts";
import { CanaryAnswerer } from "./canary.ts";
import type { CanaryOptions, FallbackOptions, ShadowOptions, CompanionOptions } from "./companion-options.ts";
import { FallbackAnswerer, otherModel, standardValue } from "./fallback.ts";
import type { Substitute } from "./fallback.ts";
import { isModel, withDefaults } from "./given-model.ts";
import { keyShare } from "./key-share.ts";
import { ModelAnswerer } from "./rows.ts";
import type { ShadowPlan } from "./shadow.ts";
import { Shadow, ShadowedAnswerer } from "./shadow.ts";

/** What a companion is made for: its step, and how calls of that go. */
export interface CompanionStep {
  readonly name: string;
  /** As given: each model adds the defaults of its own place. */
  readonly options: InferOptions;
  /** How calls of the first model go. */
  readonly first: CallPolicy;
  readonly priority: number;
}

/** What else a step asks, as part of a plan. */
export interface PlannedCompanion {
  readonly models: readonly PlannedModel[];
  readonly side?: PlannedStep["side"];
  readonly description: PlannedStep["description"];
  /** Puts it around what answers without it. */
  around(first: Answerer, run: RunContext): Answerer;
}

type AnyCompanions = CompanionOptions<unknown, unknown, unknown>;

/**
 * The companions of an `infer` step, from the inside out: those behind one are around what those before it give.
 * @throws {PlanError} when an option makes no sense
 */
export function plannedCompanions(step: CompanionStep, { canary, fallback, shadow }: AnyCompanions): readonly PlannedCompanion[] {
  const companions: PlannedCompanion[] = [];
  if (canary !== undefined) companions.push(plannedCanary(step, canary));
  if (fallback !== undefined) companions.push(plannedFallback(step, fallback));
  if (shadow !== undefined) companions.push(plannedShadow(step, shadow));
  if (companions.length > 0 && step.first.argument === "event")
    throw new PlanError(`step "${step.name}": fullEvent can't go with shadow, canary or fallback, which are about values`);
  return companions;
}

/** How calls of the first model go, where something may stand in for it. @throws {PlanError} */
export function policyBefore({ step, ...policy }: CallPolicy, fallback: AnyCompanions["fallback"]): CallPolicy {
  if (fallback?.after === undefined) return { step, ...policy };
  const after = positiveMilliseconds(fallback.after, `step "${step}": fallback.after`);
  return { step, ...policy, deadline: Math.min(policy.deadline ?? Number.POSITIVE_INFINITY, after) };
}

interface Other {
  readonly models: readonly PlannedModel[];
  readonly shown: string;
  /** As the step's options and its own place say. */
  readonly policy: CallPolicy;
  /** The most rows of a call. */
  readonly maxSize: number;
  ask(run: RunContext): Asking;
}

/** Another model or function that a step asks. */
function other({ name, options, priority }: CompanionStep, role: "shadow" | "canary" | "fallback", given: unknown): Other {
  const own = withDefaults(options, given);
  const policy: CallPolicy = { ...callPolicy(name, own), context: "none" };
  const batching = batchingOf(name, own);
  const { maxSize } = batching;
  if (!isModel(given)) {
    if (typeof given !== "function") throw new PlanError(`step "${name}": ${role}.model must be a model and its place, or a function`);
    const fn = callableOf<CallFunction<readonly unknown[], unknown>>(name, given);
    return { models: [], shown: "function", policy, maxSize, ask: askFunction(policy, fn, { name: role, version: "function" }) };
  }
  const where = `${name}.${role}`;
  const need = role === "fallback" ? "needed" : "dispensable";
  const model: PlannedModel = { spec: given, options: { step: where, batching }, need };
  const { model: named, path, url } = given.description;
  const shown = [given.kind, named ?? path ?? url].filter((part) => part !== undefined).join(" ");
  const ask = askModel({ ...policy, step: where }, model, role === "shadow" ? priority - 1 : priority);
  return { models: [model], shown, policy, maxSize, ask };
}

function plannedCanary(step: CompanionStep, options: CanaryOptions<unknown, unknown>): PlannedCompanion {
  const { name } = step;
  const at = (option: string) => `step "${name}": canary.${option}`;
  const share = part(at("share"), options.share);
  const limits: CanaryLimits = {
    maxErrorRate: part(at("maxErrorRate"), options.maxErrorRate ?? 0.05),
    window: positiveMilliseconds(options.window ?? "1m", at("window")),
    minRows: wholeNumber(at("minRows"), options.minRows ?? 20),
    retryAfter: options.retryAfter === undefined ? undefined : milliseconds(options.retryAfter, at("retryAfter")),
  };
  const canary = other(step, "canary", options.model);
  const timeout = options.maxLatency === undefined ? halfOf(step.first) : positiveMilliseconds(options.maxLatency, at("maxLatency"));
  const policy: CallPolicy = { ...canary.policy, attempts: 1, deadline: undefined, timeout };
  const isChosen = keyShare(name, share);
  /** One for all partitions of an instance. */
  const judges = new WeakMap<TaskIdentity, CanaryJudge>();
  return {
    models: canary.models,
    description: { canary: `${canary.shown}, share ${share}` },
    around(first, run) {
      const judge = judges.get(run.task) ?? new CanaryJudge(name, limits, run);
      judges.set(run.task, judge);
      const [model] = canary.models;
      const open = model && run.model(model);
      const answerer = new ModelAnswerer(policy, canary.ask(run), run, { maxSize: canary.maxSize, search: "no search" });
      return new CanaryAnswerer({ first, canary: answerer, judge, isChosen, identity: () => open?.identity }, run);
    },
  };
}

function plannedFallback(step: CompanionStep, options: FallbackOptions<unknown, unknown>): PlannedCompanion {
  const { name } = step;
  const { errors = "infrastructure" } = options;
  if (!["infrastructure", "all"].includes(errors))
    throw new PlanError(`step "${name}": fallback.errors must be "infrastructure" or "all" (got ${JSON.stringify(errors)})`);
  if ("model" in options === "value" in options) throw new PlanError(`step "${name}": give fallback a model or a value, one of them`);
  const around = (substitute: (run: RunContext) => Substitute): PlannedCompanion["around"] => {
    return (first, run) => new FallbackAnswerer(name, { first, substitute: substitute(run), errors }, run);
  };
  if ("value" in options) {
    const valueOf = valueOrFunction(name, options.value);
    return { models: [], description: { fallback: "value" }, around: around(() => standardValue(valueOf)) };
  }
  const model = other(step, "fallback", options.model);
  return {
    models: model.models,
    description: { fallback: model.shown },
    around: around((run) => otherModel(new ModelAnswerer(model.policy, model.ask(run), run, { maxSize: model.maxSize }))),
  };
}

/** Each event gets a value of its own: steps behind may change what it holds. */
function valueOrFunction(name: string, value: unknown): (input: unknown, error: unknown) => unknown {
  if (typeof value === "function") return value as (input: unknown, error: unknown) => unknown;
  if (typeof value !== "object" || value === null) return () => value;
  try {
    structuredClone(value);
  } catch {
    throw new PlanError(`step "${name}": fallback.value must be plain data, or a function that makes it`);
  }
  return () => structuredClone(value);
}

function plannedShadow(step: CompanionStep, options: ShadowOptions<unknown, unknown, unknown>): PlannedCompanion {
  const { name } = step;
  const { to, write = "all", differs } = options;
  const where = `step "${name}": shadow`;
  if (to !== undefined && !canBeOpened(to)) throw new PlanError(`${where}.to: give a sink, such as sink(config.differences)`);
  if (!["all", "differences"].includes(write))
    throw new PlanError(`${where}.write must be "all" or "differences" (got ${JSON.stringify(write)})`);
  if (differs !== undefined && typeof differs !== "function") throw new PlanError(`${where}.differs must be a function`);
  const model = other(step, "shadow", options.model);
  const { timeout, deadline } = model.policy;
  const plan: ShadowPlan = {
    policy: { ...model.policy, attempts: 1, timeout: timeout ?? deadline },
    maxSize: model.maxSize,
    maxQueued: wholeNumber(`${where}.maxQueued`, options.maxQueued ?? 1024),
    write,
    differs,
  };
  return {
    models: model.models,
    side: to,
    description: { shadow: model.shown },
    around: (first, run) => {
      const sink = to === undefined ? undefined : run.sink(to);
      return new ShadowedAnswerer(first, new Shadow(plan, { asking: model.ask(run), sink }, run));
    },
  };
}

function part(what: string, given: number): number {
  if (typeof given !== "number" || !(given >= 0 && given <= 1)) throw new PlanError(`${what} must be from 0 to 1 (got ${given})`);
  return given;
}

/** Half of the time of an attempt. */
function halfOf({ timeout = Number.POSITIVE_INFINITY, deadline = Number.POSITIVE_INFINITY }: CallPolicy): number | undefined {
  const time = Math.min(timeout, deadline);
  return time === Number.POSITIVE_INFINITY ? undefined : time / 2;
}
