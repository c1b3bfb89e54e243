import { sleep } from "../../clock.ts";
import { ConfigError, messageOf } from "../../errors.ts";
import type { ModelRunner, RunnerContext } from "../../model.ts";
import { RetryableError, waitBefore } from "../../pipeline/retry.ts";
import { isDatatype } from "../tensors/datatypes.ts";
import type { TensorType } from "../tensors/tensor.ts";
import { withPlace } from "./failures.ts";
import type { RemoteModel } from "./remote-model.ts";
import { RemoteRunner } from "./remote-runner.ts";
import type { ModelMetadata, TensorMetadata, Transport } from "./transport.ts";

/** For how long a server that can't be reached is waited for until the task begins again, in milliseconds. */
const PATIENCE = 60_000;

/** Seconds before the second attempt, at most, doubling with each; and the longest wait in milliseconds. */
const FIRST_WAIT = 0.5;
const LONGEST_WAIT = 5000;

/** Opens a transport, waits until the model is there, and asks what its inputs are. */
export async function loadRemote(remote: RemoteModel, context: RunnerContext): Promise<ModelRunner> {
  const transport = await openTransport(remote, context);
  try {
    const metadata = await whenReady(remote, transport, context);
    return new RemoteRunner({ remote, transport, context, ...typesOf(remote, metadata) });
  } catch (error) {
    await transport[Symbol.asyncDispose]();
    throw error;
  }
}

/** Whoever uses one protocol need not load the other's client. */
async function openTransport(remote: RemoteModel, { shared }: RunnerContext): Promise<Transport> {
  if (remote.protocol === "http") return (await import("./http-transport.ts")).HttpTransport.open(remote, shared);
  return (await import("./grpc-transport.ts")).GrpcTransport.open(remote, shared);
}

/**
 * What the server says of the model, once it is ready. A server that is away is tried again, with back-off; what else is wrong is thrown.
 * @throws {NotReadyError} when the server has no such model, or has not loaded it yet
 */
async function whenReady(remote: RemoteModel, transport: Transport, context: RunnerContext): Promise<ModelMetadata> {
  const { clock, signal, logger, random = Math.random } = context;
  const place = `model ${remote.model} at ${transport.address}`;
  const begin = clock.elapsed();
  for (let attempt = 1; ; attempt++) {
    try {
      const limits = { clock, signal, timeout: remote.timeout };
      await transport.ready(limits);
      const metadata = await transport.metadata(limits);
      if (attempt > 1) {
        context.waiting(undefined);
        logger.info({ model: remote.model }, `${place}: the server is there`);
      }
      return metadata;
    } catch (error) {
      signal.throwIfAborted();
      const told = withPlace(error, place);
      const wait = Math.min(LONGEST_WAIT, waitBefore(FIRST_WAIT, attempt, [error], random));
      if (!(error instanceof RetryableError) || clock.elapsed() - begin + wait > PATIENCE)
        throw told === error ? notAsked(place, error) : told;
      context.waiting(messageOf(told));
      if (attempt === 1) logger.warn({ model: remote.model }, `${messageOf(told)}; trying again`);
      await sleep(wait, signal, clock);
    }
  }
}

/** Neither away nor unknown: no amount of waiting makes an answer of this. */
function notAsked(place: string, error: unknown): ConfigError {
  return new ConfigError([{ where: place, what: messageOf(error) }], { cause: error });
}

/** The types of inputs and outputs, as given or as the server says. */
function typesOf(
  remote: RemoteModel,
  metadata: ModelMetadata,
): { readonly version: string | undefined; readonly inputs: readonly TensorType[]; readonly outputs: readonly TensorType[] | undefined } {
  const inputs = remote.inputs ?? metadata.inputs.map((tensor) => typeOf(remote, "inputs", tensor));
  if (inputs.length === 0)
    throw fault(
      remote,
      "the server does not say what the model's inputs are: give inputs, as [{ name, datatype, shape }] with the shape of one row",
    );
  const named = remote.outputs ?? metadata.outputs.map((tensor) => typeOf(remote, "outputs", tensor));
  const version = remote.version ?? (metadata.versions.length === 1 ? metadata.versions[0] : undefined);
  return { version, inputs, outputs: named.length === 0 ? undefined : named };
}

function typeOf(remote: RemoteModel, option: "inputs" | "outputs", { name, datatype, shape }: TensorMetadata): TensorType {
  if (!isDatatype(datatype))
    throw fault(
      remote,
      `its ${option} have "${name}" of ${datatype}, which Millrace has no tensors for: give ${option} without it, if the model can do without`,
    );
  return { name, datatype, shape: shape.slice(1) };
}

function fault({ model, address }: RemoteModel, what: string): ConfigError {
  return new ConfigError([{ where: `model ${model} at ${address}`, what }]);
}
