import type { ModelIdentity } from "../../model-stats.ts";
import type { ModelCall, ModelRunner, RunnerContext } from "../../model.ts";
import { RetryableError } from "../../pipeline/retry.ts";
import { CircuitBreaker } from "../circuit-breaker.ts";
import { predictRows } from "../tensors/predict.ts";
import type { Tensor, TensorType } from "../tensors/tensor.ts";
import { toldOf } from "./failures.ts";
import { wantedOutputs } from "./outputs.ts";
import type { RemoteModel } from "./remote-model.ts";
import type { Transport } from "./transport.ts";

/** Stands in the place of a version where the server keeps none. */
const UNVERSIONED = "unversioned";

/** What a runner is made of. */
export interface RemoteParts {
  readonly remote: RemoteModel;
  readonly transport: Transport;
  readonly context: RunnerContext;
  /** As far as it is known before the first reply. */
  readonly version: string | undefined;
  readonly inputs: readonly TensorType[];
  /** Undefined for whatever comes. */
  readonly outputs: readonly TensorType[] | undefined;
}

/** A model on a server. Calls go through a circuit breaker; the server's replies say which version it is. */
export class RemoteRunner implements ModelRunner {
  identity: ModelIdentity;
  readonly types: ModelRunner["types"];
  readonly capacity: number;
  readonly #parts: RemoteParts;
  readonly #names: readonly string[] | undefined;
  readonly #breaker: CircuitBreaker;
  #underWay = 0;
  #idle: (() => void) | undefined;

  constructor(parts: RemoteParts) {
    const { remote, version = UNVERSIONED, inputs, outputs, context } = parts;
    this.#parts = parts;
    this.identity = { name: remote.model, version };
    this.types = { inputs: shown(inputs), outputs: outputs && shown(outputs) };
    this.capacity = remote.maxInFlight;
    this.#names = outputs?.map(({ name }) => name);
    this.#breaker = new CircuitBreaker(`${remote.model} at ${remote.address}`, remote.breaker, context);
  }

  run(rows: readonly unknown[], call: ModelCall): Promise<ArrayLike<unknown>> {
    const { inputs, transport } = this.#parts;
    const { identity } = this;
    const run = (tensors: readonly Tensor[]) => this.#breaker.call(call.signal, () => this.#ask(tensors, call));
    return predictRows({ identity, inputs, allocate: transport.allocate, run }, rows);
  }

  async #ask(inputs: readonly Tensor[], { signal, until }: ModelCall): Promise<readonly Tensor[]> {
    const { remote, transport, context, outputs } = this.#parts;
    const { clock } = context;
    this.#underWay += 1;
    try {
      const timeout = until === Number.POSITIVE_INFINITY ? remote.timeout : Math.min(remote.timeout, until - clock.elapsed());
      if (timeout <= 0) throw new RetryableError("its time was up before the server was asked");
      const reply = await transport.infer({ inputs, outputs: this.#names }, { clock, signal, timeout });
      this.#answeredBy(reply.modelVersion);
      return wantedOutputs(reply.outputs, outputs);
    } catch (error) {
      if (signal.aborted) throw error;
      throw toldOf(error, this.identity, transport.address);
    } finally {
      this.#underWay -= 1;
      if (this.#underWay === 0) this.#idle?.();
    }
  }

  /** A server may begin to answer by another version whenever it likes. One object for each, since results are marked by it. */
  #answeredBy(version: string | undefined): void {
    if (version !== undefined && version !== this.identity.version) this.identity = { name: this.identity.name, version };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    await this.#parts.transport[Symbol.asyncDispose]();
  }
}

/** `x FP32 [-1,28,28]`, as the protocol's metadata would say it. */
function shown(tensors: readonly TensorType[]): string {
  return tensors
    .map(({ name, datatype, shape }) => `${name} ${datatype} [${[-1, ...shape.map((size) => size ?? -1)].join(",")}]`)
    .join(", ");
}
