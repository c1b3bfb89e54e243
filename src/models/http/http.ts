import { createHash } from "node:crypto";

import { positiveMilliseconds } from "../../duration.ts";
import { messageOf, PlanError } from "../../errors.ts";
import type { ModelSpec } from "../../model.ts";
import { wholeNumber } from "../../pipeline/given.ts";
import { breakerPolicy } from "../circuit-breaker.ts";
import { placed } from "../place.ts";
import type { HttpBatchOptions, HttpRequests, HttpRowOptions } from "./options.ts";
import { targetOf } from "./request.ts";
import type { HttpPlan } from "./runner.ts";
import { loadHttp } from "./runner.ts";

const DEFAULT_REPLY_BYTES = 16 * 1024 * 1024;

/** Extra attempts where the step does not say: with waits of 1, 2, 4 … s they outlive a restart of what is asked. */
const DEFAULT_RETRIES = 6;

/**
 * Any HTTP endpoint as a model. It gets one request for each row, or with `rows: "batch"` one for all rows of a call; method, URL, headers,
 * body and what goes behind the path are values, or functions of the value and its event.
 *
 * When it can't be reached, takes too long, or answers 408, 425, 429 or 5xx, the request is made again as the step's `retries` say
 * (here 6 where it says nothing), after the `Retry-After` of the reply at least. Any other status but 2xx, and a reply that can't be read,
 * are a RefusedError of the row: it is not asked again. Certificates are verified; redirects are not followed.
 * @throws {PlanError} when an option can't be right
 * @example
 * stream.infer(http({ url: "http://scores.internal/v1", body: (order) => ({ amount: order.amount }), reply: (reply) => Number(reply.text()) }))
 */
export function http<In = unknown, Out = unknown>(options: HttpRowOptions<In, Out>): ModelSpec<In, Out>;
export function http<In = unknown, Out = unknown>(options: HttpBatchOptions<In, Out>): ModelSpec<In, Out>;
export function http(options: HttpRowOptions<unknown, unknown> | HttpBatchOptions<unknown, unknown>): ModelSpec {
  const requests = options as unknown as HttpRequests;
  const shown = shownUrl(requests);
  const identity = { name: options.name ?? nameOf(shown), version: options.version ?? "1" };
  const where = `http ${identity.name}`;
  const plan: HttpPlan = {
    identity,
    requests,
    rows: options.rows ?? "one",
    concurrency: wholeNumber(`${where}: concurrency`, options.concurrency ?? 32),
    timeout: positiveMilliseconds(options.timeout ?? "30s", `${where}: timeout`),
    maxReplyBytes: wholeNumber(`${where}: maxReplyBytes`, options.maxReplyBytes ?? DEFAULT_REPLY_BYTES),
    breaker: options.breaker === "off" ? undefined : breakerPolicy(where, options.breaker),
  };
  return placed({
    kind: "http",
    description: { model: identity.name, url: shown ?? "by a function", rows: plan.rows },
    key: keyOf(plan),
    defaults: { retries: DEFAULT_RETRIES, maxSize: plan.rows === "one" ? 1 : undefined },
    load: (context) => loadHttp(plan, context),
  });
}

/** The URL without what may be secret in it; undefined when a function makes it. */
function shownUrl({ url, subpath }: HttpRequests): string | undefined {
  if (typeof url === "function") return undefined;
  try {
    return targetOf(url, typeof subpath === "string" ? subpath : undefined).shown;
  } catch (error) {
    throw new PlanError(`http: ${messageOf(error)}`);
  }
}

function nameOf(shown: string | undefined): string {
  if (shown === undefined) return "http";
  const { host, pathname } = new URL(shown);
  return host + pathname.replace(/\/$/, "");
}

/** Numbers what can't be compared: two functions may do different things though they read alike. */
let functions = 0;

/** Names what may be one copy. What may be secret is in it as a hash. */
function keyOf(plan: HttpPlan): string {
  const text = JSON.stringify(plan, (_name, value: unknown) => (typeof value === "function" ? (functions += 1) : value));
  return `${plan.identity.name}@${plan.identity.version} ${createHash("sha256").update(text).digest("hex").slice(0, 16)}`;
}
