import type { Lease, SharedResources } from "../../contracts.ts";
import { NotReadyError, RefusedError } from "../../errors.ts";
import { httpFailure } from "./failures.ts";
import type { HttpReply, HttpRequest } from "./http-exchange.ts";
import { exchange } from "./http-exchange.ts";
import type { HttpPool } from "./http-pool.ts";
import { leasePool } from "./http-pool.ts";
import { jsonOf, Replies } from "./http-reply.ts";
import type { RequestMaker } from "./http-request.ts";
import { BinaryRequests, jsonRequests } from "./http-request.ts";
import type { RemoteModel } from "./remote-model.ts";
import type { CallLimits, InferReply, InferRequest, ModelMetadata, TensorMetadata, Transport } from "./transport.ts";

/** The protocol over HTTP (https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_rest.md). */
export class HttpTransport implements Transport {
  readonly address: string;
  readonly #remote: RemoteModel;
  readonly #lease: Lease<HttpPool>;
  /** Path of the model: `/v2/models/digits/versions/3`. */
  readonly #path: string;
  readonly #inferPath: string;
  /** Names and values in turn. */
  readonly #headers: readonly string[];
  readonly #replies = new Replies();
  #requests: RequestMaker;

  static async open(remote: RemoteModel, shared: SharedResources): Promise<HttpTransport> {
    return new HttpTransport(remote, await leasePool(shared, remote.origin));
  }

  private constructor(remote: RemoteModel, lease: Lease<HttpPool>) {
    const { model, version } = remote;
    this.#remote = remote;
    this.#lease = lease;
    this.address = remote.address;
    this.#path = `${remote.path}/v2/models/${encodeURIComponent(model)}${version === undefined ? "" : `/versions/${encodeURIComponent(version)}`}`;
    this.#inferPath = `${this.#path}/infer`;
    this.#headers = remote.headers.flat();
    this.#requests = remote.binary === true ? new BinaryRequests(this.#headers) : jsonRequests(this.#headers);
  }

  get allocate(): Transport["allocate"] {
    return this.#requests.allocate;
  }

  async ready(limits: CallLimits): Promise<void> {
    const reply = await this.#get(`${this.#path}/ready`, limits);
    const said = reply.status === 200 && reply.body.length > 0 ? (jsonOf(reply) as { readonly ready?: unknown } | null) : undefined;
    if (reply.status === 200 && said?.ready !== false) {
      if (this.#remote.binary === undefined) await this.#chooseEncoding(limits);
      return;
    }
    if (reply.status === 200) throw new NotReadyError("the server says that it is not ready");
    const failure = httpFailure(reply, limits.clock.now(), this.#remote);
    // MLServer answers 400 while a model is being loaded.
    throw failure instanceof RefusedError ? new NotReadyError(failure.message) : failure;
  }

  async metadata(limits: CallLimits): Promise<ModelMetadata> {
    const reply = await this.#get(this.#path, limits);
    if (reply.status !== 200) throw httpFailure(reply, limits.clock.now(), this.#remote);
    const { versions, inputs, outputs } = (jsonOf(reply) ?? {}) as Partial<Record<keyof ModelMetadata, unknown>>;
    return {
      versions: Array.isArray(versions) ? versions.map(String) : [],
      inputs: tensorsIn("inputs", inputs),
      outputs: tensorsIn("outputs", outputs),
    };
  }

  /** The server says itself whether it takes binary tensors. */
  async #chooseEncoding(limits: CallLimits): Promise<void> {
    const reply = await this.#get(`${this.#remote.path}/v2`, limits);
    if (reply.status >= 500) throw httpFailure(reply, limits.clock.now(), this.#remote);
    // A gateway that lets nothing but models through hides what the server can do.
    const { extensions } = reply.status === 200 ? ((jsonOf(reply) ?? {}) as { readonly extensions?: unknown }) : {};
    if (Array.isArray(extensions) && extensions.includes("binary_tensor_data")) this.#requests = new BinaryRequests(this.#headers);
  }

  async infer(request: InferRequest, limits: CallLimits): Promise<InferReply> {
    const { headers, body } = this.#requests.message(request);
    const reply = await this.#exchange({ method: "POST", path: this.#inferPath, headers, body }, limits);
    if (reply.status !== 200) throw httpFailure(reply, limits.clock.now(), this.#remote);
    return this.#replies.read(reply);
  }

  #get(path: string, limits: CallLimits): Promise<HttpReply> {
    return this.#exchange({ method: "GET", path, headers: [...this.#headers] }, limits);
  }

  #exchange(request: HttpRequest, { clock, signal, timeout }: CallLimits): Promise<HttpReply> {
    const { maxReplyBytes } = this.#remote;
    return exchange(this.#lease.resource.dispatcher, request, { clock, signal, timeout, maxReplyBytes });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lease[Symbol.asyncDispose]();
  }
}

function tensorsIn(field: string, given: unknown): TensorMetadata[] {
  if (given === undefined || given === null) return [];
  if (!Array.isArray(given)) throw new RefusedError(`the model's metadata has no array as its "${field}"`);
  return (given as Partial<TensorMetadata>[]).map(({ name, datatype, shape }) => {
    if (typeof name !== "string" || typeof datatype !== "string" || !Array.isArray(shape))
      throw new RefusedError(`the model's metadata has something among its "${field}" without name, datatype and shape`);
    return { name, datatype, shape: shape.map(Number) };
  });
}
