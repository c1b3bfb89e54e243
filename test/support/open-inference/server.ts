import type { Owner } from "../temp-folder.ts";
import { GrpcEndpoint } from "./grpc-endpoint.ts";
import { HttpEndpoint } from "./http-endpoint.ts";
import type { HostedModel, ServerState } from "./served.ts";

/** A server that speaks the Open Inference Protocol v2 over HTTP and gRPC. */
export interface OpenInferenceServer extends ServerState, AsyncDisposable {
  /** `http://127.0.0.1:PORT`. */
  readonly http: string;
  /** `grpc://127.0.0.1:PORT`. */
  readonly grpc: string;
}

/** What a server announces that it can do. */
export interface ServerOptions {
  /** Default: binary tensors. */
  readonly extensions?: readonly string[];
  /** Default: free ones. */
  readonly ports?: { readonly http?: number; readonly grpc?: number };
}

/** Starts one in this process; it ends with the test. */
export async function openInferenceServer(t: Owner, model: HostedModel, options: ServerOptions = {}): Promise<OpenInferenceServer> {
  const state: ServerState = {
    model,
    extensions: options.extensions ?? ["binary_tensor_data"],
    ready: true,
    misdeed: () => undefined,
    asked: [],
    flooded: 0,
  };
  const http = await HttpEndpoint.listen(state, options.ports?.http ?? 0);
  const grpc = await GrpcEndpoint.listen(state, options.ports?.grpc ?? 0);
  const close = async () => {
    await Promise.all([http[Symbol.asyncDispose](), grpc[Symbol.asyncDispose]()]);
  };
  t.after(close);
  return Object.assign(state, {
    http: `http://127.0.0.1:${http.port}`,
    grpc: `grpc://127.0.0.1:${grpc.port}`,
    [Symbol.asyncDispose]: close,
  });
}
