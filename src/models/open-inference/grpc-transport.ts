import type { ServiceError } from "@grpc/grpc-js";
import { Client, credentials, Metadata } from "@grpc/grpc-js";

import type { Lease, SharedResources } from "../../contracts.ts";
import { messageOf, NotReadyError, RefusedError } from "../../errors.ts";
import { onAbort } from "../../on-abort.ts";
import { RetryableError } from "../../pipeline/retry.ts";
import { grpcFailure } from "./failures.ts";
import { grpcRequest, inferReplyOfGrpc } from "./grpc-message.ts";
import type { Method, NamedModel } from "./grpc-service.ts";
import { ModelInfer, ModelMetadata, ModelReady } from "./grpc-service.ts";
import { tooLarge } from "./http-exchange.ts";
import type { RemoteModel } from "./remote-model.ts";
import type { CallLimits, InferReply, InferRequest, ModelMetadata as Said, Transport } from "./transport.ts";

/** A connection to one server. */
interface Channel extends AsyncDisposable {
  readonly client: Client;
}

/** The longest wait before a server that was away is tried again, in milliseconds: calls fail at once until then. */
const LONGEST_RECONNECT_WAIT = 2000;
const SHORTEST_RECONNECT_WAIT = 100;

/** How much later the client's own deadline is than the timer that tells what was late, in milliseconds. */
const BEHIND = 1000;

/** HTTP/2 lets so many bytes through before it hears that they were read: enough for a batch of images. */
const FLOW_CONTROL_WINDOW = 4 * 1024 * 1024;

/** The protocol over gRPC (https://github.com/kserve/open-inference-protocol/blob/main/specification/protocol/inference_grpc.md). */
export class GrpcTransport implements Transport {
  readonly address: string;
  readonly #remote: RemoteModel;
  readonly #lease: Lease<Channel>;
  readonly #metadata: Metadata;
  readonly #named: NamedModel;

  static async open(remote: RemoteModel, shared: SharedResources): Promise<GrpcTransport> {
    const { host, security, maxReplyBytes } = remote;
    const key = `grpc ${security} ${host} ${maxReplyBytes}`;
    return new GrpcTransport(remote, await shared.lease(key, () => Promise.resolve(openChannel(remote))));
  }

  private constructor(remote: RemoteModel, lease: Lease<Channel>) {
    const { address, headers, model, version = "" } = remote;
    this.#remote = remote;
    this.#lease = lease;
    this.address = address;
    this.#named = { name: model, version };
    this.#metadata = new Metadata();
    for (const [name, value] of headers) this.#metadata.set(name, value);
  }

  async ready(limits: CallLimits): Promise<void> {
    const { ready = false } = await this.#call(ModelReady, this.#named, limits).catch((error: unknown) => {
      throw error instanceof RefusedError ? new NotReadyError(error.message) : error;
    });
    if (!ready) throw new NotReadyError("the server says that it is not ready");
  }

  async metadata(limits: CallLimits): Promise<Said> {
    const { versions, inputs, outputs } = await this.#call(ModelMetadata, this.#named, limits);
    const [said, answered] = [inputs, outputs].map((tensors) =>
      tensors.map(({ name = "", datatype = "", shape }) => ({ name, datatype, shape: shape.map(Number) })),
    );
    return { versions, inputs: said ?? [], outputs: answered ?? [] };
  }

  async infer(request: InferRequest, limits: CallLimits): Promise<InferReply> {
    const { model, version, binary } = this.#remote;
    const asked = grpcRequest(request, { model, version, contents: binary === false ? "typed" : "raw" });
    return inferReplyOfGrpc(await this.#call(ModelInfer, asked, limits));
  }

  #call<In, Out>(method: Method<In, Out>, argument: In, { clock, signal, timeout }: CallLimits): Promise<Out> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(signal.reason as Error);
        return;
      }
      const ms = Math.ceil(timeout);
      // The server is told the time as well, so that it need not work for nobody; the client keeps to it too, but our own timer comes first.
      const options = { deadline: Date.now() + ms + BEHIND };
      const settled = () => {
        cancelTimer();
        unwatch();
      };
      const call = this.#lease.resource.client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        (bytes: Buffer) => bytes,
        argument,
        this.#metadata,
        options,
        (error, bytes) => {
          settled();
          if (error === null && bytes !== undefined) resolveWith(bytes);
          else reject(this.#failure(error, ms));
        },
      );
      const resolveWith = (bytes: Buffer) => {
        try {
          resolve(method.responseDeserialize(bytes));
        } catch (error) {
          reject(new RefusedError(`the reply is no message of the protocol (${bytes.length} bytes): ${messageOf(error)}`));
        }
      };
      const giveUp = (reason: unknown) => {
        settled();
        call.cancel();
        reject(reason);
      };
      const cancelTimer = clock.after(ms, () => giveUp(late(ms)), "deadline");
      const unwatch = onAbort(signal, () => giveUp(signal.reason));
    });
  }

  #failure(error: ServiceError | null, ms: number): Error {
    if (error === null) return new RefusedError("the reply is empty");
    const { code, details, metadata } = error;
    // Made by the client itself, as soon as it knows the length of the message. A server says the same of a request, with its own limit.
    const { maxReplyBytes } = this.#remote;
    if (details.startsWith("Received message larger than max") && details.includes(` ${maxReplyBytes})`)) return tooLarge(maxReplyBytes);
    if (details.startsWith("Deadline exceeded")) return late(ms);
    const [pushback] = metadata.get("grpc-retry-pushback-ms");
    const retryAfter = Number(pushback) > 0 ? Number(pushback) : undefined;
    return grpcFailure({ code, details, retryAfter }, this.#remote);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lease[Symbol.asyncDispose]();
  }
}

function late(ms: number): RetryableError {
  return new RetryableError(`no answer within ${ms.toLocaleString("en")} ms`);
}

function openChannel({ host, security, maxReplyBytes }: RemoteModel): Channel {
  const client = new Client(host, security === "tls" ? credentials.createSsl() : credentials.createInsecure(), {
    "grpc.max_receive_message_length": maxReplyBytes,
    "grpc.initial_reconnect_backoff_ms": SHORTEST_RECONNECT_WAIT,
    "grpc.max_reconnect_backoff_ms": LONGEST_RECONNECT_WAIT,
    "grpc-node.flow_control_window": FLOW_CONTROL_WINDOW,
  });
  return {
    client,
    [Symbol.asyncDispose]: () => {
      client.close();
      return Promise.resolve();
    },
  };
}
