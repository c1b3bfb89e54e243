import type { Lease } from "../../contracts.ts";
import type { ModelIdentity } from "../../model-stats.ts";
import type { ModelCall, ModelRunner, RunnerContext } from "../../model.ts";
import { failed } from "../../pipeline/infer.ts";
import type { BreakerPolicy } from "../circuit-breaker.ts";
import { CircuitBreaker } from "../circuit-breaker.ts";
import type { ExchangeLimits } from "./exchange.ts";
import { exchange, HttpConnections } from "./exchange.ts";
import type { HttpRequests } from "./options.ts";
import { resultOf } from "./reply.ts";
import { RequestMaker } from "./request.ts";
import { Slots } from "./slots.ts";

/** What a runner of an HTTP endpoint is made of; options with defaults filled in. */
export interface HttpPlan extends ExchangeLimits {
  readonly identity: ModelIdentity;
  readonly requests: HttpRequests;
  readonly rows: "one" | "batch";
  readonly concurrency: number;
  readonly breaker: BreakerPolicy | undefined;
}

/** Connects nothing yet: an endpoint that is away is the business of its first call. */
export async function loadHttp(plan: HttpPlan, context: RunnerContext): Promise<ModelRunner> {
  const connections = await context.shared.lease("http connections", () => Promise.resolve(new HttpConnections()));
  return new HttpRunner(plan, connections, context);
}

class HttpRunner implements ModelRunner {
  readonly identity: ModelIdentity;
  readonly capacity: number;
  readonly #plan: HttpPlan;
  readonly #requests: RequestMaker;
  readonly #connections: Lease<HttpConnections>;
  readonly #context: RunnerContext;
  readonly #slots: Slots;
  readonly #breaker: CircuitBreaker | undefined;

  constructor(plan: HttpPlan, connections: Lease<HttpConnections>, context: RunnerContext) {
    this.identity = plan.identity;
    this.capacity = plan.concurrency;
    this.#plan = plan;
    const name = `${plan.identity.name}@${plan.identity.version}`;
    this.#requests = new RequestMaker(`model ${name}`, plan.requests);
    this.#connections = connections;
    this.#context = context;
    this.#slots = new Slots(plan.concurrency);
    this.#breaker = plan.breaker && new CircuitBreaker(name, plan.breaker, context);
  }

  async run(rows: readonly unknown[], call: ModelCall): Promise<ArrayLike<unknown>> {
    if (this.#plan.rows === "batch") return (await this.#ask(rows, call.events, call)) as ArrayLike<unknown>;
    const asked = rows.map((row, index) => this.#ask(row, call.events[index], call).catch((error: unknown) => failed(error)));
    const outputs = await Promise.all(asked);
    call.signal.throwIfAborted();
    return outputs;
  }

  async #ask(value: unknown, event: unknown, call: ModelCall): Promise<unknown> {
    const request = this.#requests.make(value, event);
    const send = () => exchange(this.#connections.resource, request, this.#plan, call, this.#context.clock);
    const breaker = this.#breaker;
    const reply = await this.#slots.use(call.signal, () => (breaker === undefined ? send() : breaker.call(call.signal, send)));
    return resultOf(this.#plan.requests.reply, reply, request.shown, value, event);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connections[Symbol.asyncDispose]();
  }
}
