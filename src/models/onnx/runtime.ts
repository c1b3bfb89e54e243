import type { InferenceSessionFactory, TensorConstructor } from "onnxruntime-node";

import { ConfigError, messageOf } from "../../errors.ts";

/** ONNX Runtime, as much of it as is used. */
export interface Runtime {
  readonly InferenceSession: InferenceSessionFactory;
  readonly Tensor: TensorConstructor;
}

/**
 * ONNX Runtime, which is installed only where it is used.
 * @param where what is told to be at fault when it is not there: the model's file
 * @throws {ConfigError} when it is not installed, or can't be loaded on this machine
 */
export async function onnxRuntime(where: string): Promise<Runtime> {
  try {
    const imported = (await import("onnxruntime-node")) as Runtime & { readonly default?: Runtime };
    return imported.default ?? imported;
  } catch (error) {
    throw new ConfigError([{ where, what: whyMissing(error) }], { cause: error });
  }
}

const INSTALL =
  "npm install onnxruntime-node (where its installer can't reach the network, which it wants for GPUs only: ONNXRUNTIME_NODE_INSTALL=skip npm install onnxruntime-node)";

function whyMissing(error: unknown): string {
  const code: unknown = error instanceof Error && "code" in error ? error.code : undefined;
  const isMissing = code === "ERR_MODULE_NOT_FOUND" || code === "MODULE_NOT_FOUND";
  if (isMissing && messageOf(error).includes("onnxruntime")) return `ONNX models need a package that is not installed: ${INSTALL}`;
  return `ONNX Runtime can't be loaded: ${messageOf(error)}; to install it again: ${INSTALL}`;
}
