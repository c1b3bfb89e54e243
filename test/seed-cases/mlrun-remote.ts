import type { HttpRowOptions } from "millrace";
import { from, http } from "millrace";
import { runPipeline } from "millrace/testing";

import { boxOf, sinkOf, sourceOf } from "../pipeline/source-of.ts";
import type { Received } from "../support/http-server.ts";
import { httpServer } from "../support/http-server.ts";
import { Calls } from "./calls.ts";
import type { Fields, SeedCase } from "./case.ts";
import { field, isFields, numberOf, targetOf, UnknownCase } from "./case.ts";
import type { Judged } from "./judge.ts";
import { repr, text } from "./python-values.ts";
import { functionOf } from "./python.ts";
import type { ServerPlan } from "./remote-server.ts";
import { serverPlan } from "./remote-server.ts";
import type { Seen } from "./seen.ts";
import { AnyOf } from "./seen.ts";

/** Statuses that MLRun takes for final, and that may pass: here they are tried again. */
const RETRIED = new Set([408, 425, 429]);
const DEFAULT_RETRIES = 6;
/** Nobody listens there. */
const NOBODY = "http://127.0.0.1:1";

/** Cases of MLRun's `$remote`. */
export async function mlrun(given: SeedCase): Promise<Judged> {
  if (!given.feature.startsWith("$remote")) throw new UnknownCase(`Millrace has nothing like ${given.feature}`);
  const plan = serverPlan(given);
  return { target: plainRequests(remoteTarget(given, plan)), seen: await remote(given, plan) };
}

/** What is right: what is tried again comes again, with a wait before each. */
function remoteTarget(given: SeedCase, { statuses }: ServerPlan): unknown {
  const target = targetOf(given);
  const [status = 0] = statuses;
  const requests = field(target, "requests");
  if (given.expected_reference !== undefined || statuses.length > 1 || !RETRIED.has(status)) return target;
  if (!isFields(target) || !Array.isArray(requests) || requests.length !== 1) return target;
  const retries = numberOf(given.config, "retries") ?? DEFAULT_RETRIES;
  return {
    ...target,
    backoff_sleeps_s: Array.from({ length: retries }, (_, retry) => Math.min(120, 2 ** retry)),
    requests: Array.from({ length: retries + 1 }, () => requests[0] as unknown),
  };
}

async function remote({ config, input, expected }: SeedCase, plan: ServerPlan): Promise<Seen> {
  await using closing = new Closing();
  const server = await httpServer(closing, (_, response, number) => {
    if (number < plan.late) return;
    const status = plan.statuses[Math.min(number, plan.statuses.length - 1)] ?? 200;
    const answer = plan.answer ?? JSON.stringify({ res: plan.late > 0 ? number + 1 : 1 });
    response.writeHead(status).end(status === 200 ? answer : plan.refusal);
  });
  const calls = new Calls();
  const timeout = numberOf(config, "timeout");
  const began: number[] = [];
  const stream = from(sourceOf<unknown>())
    .via<unknown>("clock", (batches, run) => {
      calls.clock = run.clock;
      return batches;
    })
    .infer(http(requestOptions(plan.away ? NOBODY : server.url, config, input, () => void began.push(calls.now()))), {
      name: "rem",
      retries: numberOf(config, "retries"),
      onError: "deadLetter",
    })
    .deadLetter(boxOf())
    .to(sinkOf());
  const { values, letters } = await runPipeline(stream, [{ value: field(input, "body") }]);
  const wanted = field(expected, "pushed_errors");
  return {
    output: values.map((value) => (value instanceof Uint8Array ? `b'${Buffer.from(value).toString()}'` : value)),
    backoff_sleeps_s: began.slice(1).map((at, index) => (at - (began[index] ?? 0)) / 1000 - (index < plan.late ? (timeout ?? 0) : 0)),
    requests: server.received.map((request) => requestOf(request, config)),
    pushed_errors: letters.map(({ message, step }, index) => [
      inTheirWords(message, input, plan, Array.isArray(wanted) ? (wanted as readonly unknown[])[index] : undefined),
      step,
    ]),
  };
}

function requestOptions(url: string, config: Fields, input: unknown, sent: () => void): HttpRowOptions<unknown, unknown> {
  const { subpath, method, headers, body_expression: body, return_json: json } = config;
  const path = field(input, "event_path");
  const timeout = numberOf(config, "timeout");
  const known = new Set([
    "subpath",
    "method",
    "headers",
    "body_expression",
    "return_json",
    "timeout",
    "retries",
    "url_expression",
    "headers_expression",
  ]);
  const unknown = Object.keys(config).find((name) => !known.has(name));
  if (unknown !== undefined) throw new UnknownCase(`$remote with ${unknown}`);
  const evaluated = (source: unknown) => (typeof source === "string" ? functionOf(source) : undefined);
  const urlOf = evaluated(config["url_expression"]);
  const headersOf = evaluated(config["headers_expression"]);
  const bodyOf = evaluated(body);
  return {
    url: urlOf === undefined ? url : (value) => new URL(String(urlOf(value)), url),
    name: "rem",
    subpath: subpath === "$path" ? text(path ?? "") : typeof subpath === "string" ? subpath : undefined,
    method: typeof method === "string" ? method : (field(input, "event_method") as string | undefined),
    headers: (value) => {
      sent();
      const own = { ...(headers as Record<string, string> | undefined), ...(headersOf?.(value) as Record<string, string> | undefined) };
      const event = { "MLRUN-EVENT-ID": text(field(input, "event_id") ?? "ev1") };
      return typeof path === "string" && path !== "/" ? { ...own, ...event, "MLRUN-EVENT-PATH": path } : { ...own, ...event };
    },
    body: bodyOf === undefined ? undefined : (value) => bodyOf(value),
    reply: json === false ? "bytes" : "json",
    timeout: timeout === undefined ? undefined : timeout * 1000,
    // It has none, and waits of its own would come to those that are looked at.
    breaker: "off",
  };
}

/** What a case tells of a request. */
function requestOf({ method, path, body, headers }: Received, { headers: own }: Fields): Fields {
  const names = new Set([
    "mlrun-event-id",
    "mlrun-event-path",
    "content-type",
    ...Object.keys(own ?? {}).map((name) => name.toLowerCase()),
  ]);
  return { method, path, body: plain(body), headers: Object.fromEntries(Object.entries(headers).filter(([name]) => names.has(name))) };
}

/** Requests of a target, written like those that were seen. */
function plainRequests(target: unknown): unknown {
  const requests = field(target, "requests");
  if (!isFields(target) || !Array.isArray(requests)) return target;
  const written = (requests as readonly Fields[]).map(({ headers, body, ...rest }) => ({
    ...rest,
    body: plain(String(body)),
    headers: Object.fromEntries(Object.entries(headers as Fields).map(([name, value]) => [name.toLowerCase(), value])),
  }));
  return { ...target, requests: written };
}

/** JSON is the same with and without spaces. */
function plain(body: string): unknown {
  try {
    return JSON.parse(body) as unknown;
  } catch {
    return body;
  }
}

/** An error as MLRun would tell it. */
function inTheirWords(message: string, input: unknown, { refusal }: ServerPlan, wanted: unknown): unknown {
  const status = /answered (\d{3})\b/.exec(message)?.[1];
  const theirs: unknown = Array.isArray(wanted) ? wanted[0] : wanted;
  if (/that is no JSON/.test(message))
    return typeof theirs === "string" && /^(?:Expecting|Extra data|Unterminated|Invalid)/.test(theirs) ? theirs : message;
  if (/ECONNREFUSED/.test(message)) return typeof theirs === "string" && theirs.startsWith("Cannot connect to host") ? theirs : message;
  if (/no answer within/.test(message)) return new AnyOf("", "TimeoutError", message);
  if (status === undefined || !message.includes(JSON.stringify(refusal))) return message;
  if (Number(status) >= 500) return `bad http response ${status}: ${refusal}`;
  const id = repr(field(input, "event_id") ?? "ev1");
  const event = `Event(id=${id}, key='None', body=${repr(field(input, "body"))})`;
  return `For event ${event}, RemoteStep rem got an unexpected response status ${status}: b'${refusal}'`;
}

/** Closes what is to be closed after a case. */
class Closing implements AsyncDisposable {
  readonly #stack = new AsyncDisposableStack();

  after(close: () => unknown): void {
    this.#stack.defer(async () => {
      await close();
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#stack.disposeAsync();
  }
}
