import { validateHeaderName, validateHeaderValue } from "node:http";

import type { Duration } from "../../duration.ts";
import { positiveMilliseconds } from "../../duration.ts";
import { PlanError } from "../../errors.ts";
import { wholeNumber } from "../../pipeline/given.ts";
import { redact } from "../../secrets.ts";
import type { CircuitBreakerOptions, BreakerPolicy } from "../circuit-breaker.ts";
import { breakerPolicy } from "../circuit-breaker.ts";
import { isDatatype } from "../tensors/datatypes.ts";
import type { TensorType } from "../tensors/tensor.ts";

/** A model on a server that speaks the Open Inference Protocol v2, as MLServer, Triton and KServe do. */
export interface OpenInferenceOptions {
  /** `http://host:port`, `https://…`; `grpc://host:port` or `grpcs://…` where the protocol is gRPC. Holds no user or password: see `headers`. */
  readonly url: string;
  /** Its name on the server. */
  readonly model: string;
  /** Its version on the server; default: the one that the server chooses. */
  readonly version?: string | undefined;
  /** Default: as the URL says. With "grpc", `http:` means gRPC without TLS and `https:` with it. */
  readonly protocol?: "http" | "grpc" | undefined;
  /** The inputs, with the shape of one row; default: as the server's metadata of the model says, without the first dimension, which is the rows. */
  readonly inputs?: readonly TensorType[] | undefined;
  /** The outputs that are wanted, in this order, with the shape of one row; default: all that the metadata names, else all that come. */
  readonly outputs?: readonly TensorType[] | undefined;
  /** Sent with each request, as HTTP headers or as metadata of gRPC calls. Never shown. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
  /** From a request to the end of its reply; default "30s". */
  readonly timeout?: Duration | undefined;
  /** The longest reply; reading ends there. Default 64 MiB. */
  readonly maxReplyBytes?: number | undefined;
  /** Requests under way at a time, over all pipelines of the worker; default 8. More calls wait here, and are joined. */
  readonly maxInFlight?: number | undefined;
  /**
   * Tensors as bytes: over HTTP by the binary tensor extension, default: where the server announces it; over gRPC as raw contents,
   * default true.
   */
  readonly binary?: boolean | undefined;
  /** When calls are refused without asking the server, because it is away or overloaded. */
  readonly breaker?: CircuitBreakerOptions | undefined;
}

/** Options with defaults filled in and checked; the timeout in milliseconds. */
export interface RemoteModel {
  readonly protocol: "http" | "grpc";
  readonly security: "tls" | "none";
  /** `host:port`. */
  readonly host: string;
  /** `http://host:port`, for HTTP. */
  readonly origin: string;
  /** What stands before `/v2`, without a slash at its end: mostly nothing. */
  readonly path: string;
  /** Where it is, for people. */
  readonly address: string;
  readonly model: string;
  readonly version: string | undefined;
  readonly inputs: readonly TensorType[] | undefined;
  readonly outputs: readonly TensorType[] | undefined;
  readonly headers: readonly (readonly [name: string, value: string])[];
  /** Takes the values of headers out of a text, also what stands behind a scheme as `Bearer`. */
  readonly hide: (text: string) => string;
  readonly timeout: number;
  readonly maxReplyBytes: number;
  readonly maxInFlight: number;
  readonly binary: boolean | undefined;
  readonly breaker: BreakerPolicy;
}

const DEFAULT_TIMEOUT: Duration = "30s";
const DEFAULT_REPLY_BYTES = 64 * 1024 * 1024;
const DEFAULT_IN_FLIGHT = 8;

/** Ports where the URL has none: gRPC servers have no customary one, so those of the protocol's reference server (Triton). */
const SCHEMES = {
  "http:": { protocol: "http", security: "none", ports: { http: 80, grpc: 8001 } },
  "https:": { protocol: "http", security: "tls", ports: { http: 443, grpc: 443 } },
  "grpc:": { protocol: "grpc", security: "none", ports: { http: 8000, grpc: 8001 } },
  "grpcs:": { protocol: "grpc", security: "tls", ports: { http: 443, grpc: 443 } },
} as const;

/** @throws {PlanError} when an option can't be right */
export function remoteModel(options: OpenInferenceOptions): RemoteModel {
  const { model, version, timeout = DEFAULT_TIMEOUT, maxReplyBytes = DEFAULT_REPLY_BYTES, maxInFlight = DEFAULT_IN_FLIGHT } = options;
  if (typeof model !== "string" || model === "") throw new PlanError("openInference: model must be the model's name on the server");
  if (version !== undefined && (typeof version !== "string" || version === ""))
    throw new PlanError("openInference: version must be text, as the server names it; leave it out for the one that the server chooses");
  const place = placeOf(options);
  const headers = checkHeaders(place.protocol, options.headers ?? {});
  const secrets = headers.flatMap(([, value]) => [value, value.split(" ").at(-1) ?? value]);
  return {
    ...place,
    model,
    version,
    inputs: checkTensors("inputs", options.inputs),
    outputs: checkTensors("outputs", options.outputs),
    headers,
    hide: (text) => redact(text, secrets),
    timeout: positiveMilliseconds(timeout, "openInference: timeout"),
    maxReplyBytes: wholeNumber("openInference: maxReplyBytes", maxReplyBytes),
    maxInFlight: wholeNumber("openInference: maxInFlight", maxInFlight),
    binary: options.binary,
    breaker: breakerPolicy("openInference", options.breaker),
  };
}

type ServerPlace = Pick<RemoteModel, "protocol" | "security" | "host" | "origin" | "path" | "address">;

function placeOf({ url, protocol: wanted }: OpenInferenceOptions): ServerPlace {
  const parsed = URL.parse(url);
  const scheme = Object.hasOwn(SCHEMES, parsed?.protocol ?? "") ? SCHEMES[parsed?.protocol as keyof typeof SCHEMES] : undefined;
  // The URL is not told: what can't be read could have a password anywhere.
  if (parsed === null || scheme === undefined || parsed.hostname === "")
    throw new PlanError("openInference: url must be http://HOST:PORT or https://…, or grpc://HOST:PORT or grpcs://… for gRPC");
  if (parsed.username !== "" || parsed.password !== "")
    throw new PlanError("openInference: url must have no user or password: give headers, as { authorization: `Bearer ${token}` }");
  if (parsed.search !== "" || parsed.hash !== "") throw new PlanError("openInference: url must end before ? and #");
  if (wanted !== undefined && wanted !== "http" && wanted !== "grpc")
    throw new PlanError(`openInference: protocol must be "http" or "grpc" (got ${JSON.stringify(wanted)})`);
  const protocol = wanted ?? scheme.protocol;
  const path = parsed.pathname.replace(/\/+$/, "");
  if (protocol === "grpc" && path !== "") throw new PlanError("openInference: url must have no path where the protocol is gRPC");
  const { security } = scheme;
  const host = `${parsed.hostname}:${parsed.port === "" ? scheme.ports[protocol] : parsed.port}`;
  const origin = `${security === "tls" ? "https" : "http"}://${host}`;
  const address = protocol === "grpc" ? `${security === "tls" ? "grpcs" : "grpc"}://${host}` : `${origin}${path}`;
  return { protocol, security, host, origin, path, address };
}

/** Names are told when something is wrong with them, values never. */
function checkHeaders(protocol: RemoteModel["protocol"], headers: Readonly<Record<string, string>>): [string, string][] {
  return Object.entries(headers).map(([name, value]) => {
    try {
      validateHeaderName(name);
      validateHeaderValue(name, value);
    } catch {
      throw new PlanError(`openInference: the header ${JSON.stringify(name)} has a name or a value that no header can have`);
    }
    if (protocol === "grpc" && name.toLowerCase().endsWith("-bin"))
      throw new PlanError(`openInference: the header ${JSON.stringify(name)} ends with -bin, which means bytes in gRPC and can't be sent`);
    return [name, value];
  });
}

function checkTensors(option: "inputs" | "outputs", tensors: readonly TensorType[] | undefined): readonly TensorType[] | undefined {
  if (tensors === undefined) return undefined;
  if (!Array.isArray(tensors) || tensors.length === 0)
    throw new PlanError(`openInference: ${option} must be a list of at least one { name, datatype, shape }, or be left out`);
  const names = new Set<unknown>();
  for (const tensor of tensors as readonly TensorType[]) {
    const { name, datatype, shape } = tensor;
    const where = `openInference: ${option} "${name}"`;
    if (typeof name !== "string" || name === "" || names.has(name)) throw new PlanError(`${where} must have a name of its own`);
    names.add(name);
    if (!isDatatype(datatype))
      throw new PlanError(`${where} has the unknown datatype ${JSON.stringify(datatype)}: give one as FP32, INT64, BYTES`);
    const isShape = Array.isArray(shape) && shape.every((size) => size === undefined || (Number.isInteger(size) && (size as number) >= -1));
    if (!isShape) throw new PlanError(`${where} must have the shape of one row: whole numbers, or -1 where any size will do`);
  }
  return tensors;
}
