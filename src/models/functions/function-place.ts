import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { basename, extname } from "node:path";
import { fileURLToPath } from "node:url";

import { ConfigError, messageOf } from "../../errors.ts";
import type { ModelIdentity } from "../../model-stats.ts";
import type { Concurrency, ModelCall, ModelRunner, ModelSpec, ModuleCall, RunnerContext } from "../../model.ts";
import { failed } from "../../pipeline/infer.ts";
import { Dispatcher } from "../lanes/dispatcher.ts";
import { loadEntry } from "../lanes/entry.ts";
import { hostedBy } from "../lanes/lane-runner.ts";
import { lanesFor } from "../lanes/place-options.ts";
import { processProgram } from "../lanes/process-program.ts";
import { leaseThreadPool } from "../lanes/thread-pool.ts";
import { threadProgram } from "../lanes/thread-program.ts";
import { placed } from "../place.ts";

/** A function of a module. */
export interface FunctionPlan {
  readonly url: string;
  readonly exported: string;
  readonly settings: unknown;
  readonly parallel: number | undefined;
}

/** One call of the function, wherever it is. */
type CallFunction = (value: unknown, call: Pick<ModelCall, "signal" | "until">, context: object) => unknown;

/** The function as a model whose rows are calls. */
export function placedFunction(plan: FunctionPlan, concurrency: Concurrency, maxInFlight: number): ModelSpec {
  const { url, exported, settings, parallel } = plan;
  return placed({
    kind: concurrency,
    description: { module: url, export: exported, parallel: concurrency === "async" ? undefined : parallel },
    key: JSON.stringify([url, exported, settings, parallel, maxInFlight]),
    // In the worker a module is what it was when it was imported.
    files: concurrency === "async" ? undefined : [fileURLToPath(url)],
    load: (context) => load(plan, concurrency, maxInFlight, context),
  });
}

async function load(plan: FunctionPlan, concurrency: Concurrency, maxInFlight: number, context: RunnerContext): Promise<ModelRunner> {
  const { url, exported, settings, parallel = Math.min(maxInFlight, availableParallelism()) } = plan;
  const identity = await identityOf(plan);
  const lanes = concurrency === "async" ? 0 : lanesFor(parallel, context);
  if (lanes === 0) {
    const entry = await loadEntry({ kind: "each", url, exportName: exported }, context.signal);
    const call: CallFunction = (value, { signal }, given) => entry.call(value, { logger: context.logger, ...given, signal });
    return runnerOf({ identity, settings, capacity: Number.MAX_SAFE_INTEGER, call }, () => entry.unload());
  }
  await using resources = new AsyncDisposableStack();
  const program =
    concurrency === "process"
      ? processProgram()
      : threadProgram(resources.use(await leaseThreadPool(context.shared, context.settings.maxThreads)).resource);
  const { clock, logger, random } = context;
  const dispatcher = resources.use(new Dispatcher({ program, lanes, maxInFlight, clock, logger, random }));
  const { entry, open } = await hostedBy(dispatcher, { kind: "each", url, exportName: exported }, context, resources.move());
  const call: CallFunction = (value, { signal, until }, given) => entry.run(value, { signal, until, context: given });
  return runnerOf({ identity, settings, capacity: entry.capacity, call }, () => open.disposeAsync());
}

function runnerOf(
  {
    identity,
    settings,
    capacity,
    call: callFunction,
  }: { readonly identity: ModelIdentity; readonly settings: unknown; readonly capacity: number; readonly call: CallFunction },
  close: () => Promise<void>,
): ModelRunner {
  const callOne = async ({ value, context }: ModuleCall, call: ModelCall): Promise<unknown> => {
    try {
      return await callFunction(value, call, { ...context, settings });
    } catch (error) {
      // As a failed row, so that what is thrown is told as it is, as by a function in the pipeline itself.
      return failed(error);
    }
  };
  return {
    identity,
    capacity,
    run: async (rows, call) => {
      const outputs = await Promise.all(rows.map((row) => callOne(row as ModuleCall, call)));
      call.signal.throwIfAborted();
      return outputs;
    },
    [Symbol.asyncDispose]: close,
  };
}

async function identityOf({ url, exported }: FunctionPlan): Promise<ModelIdentity> {
  const file = fileURLToPath(url);
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw new ConfigError([{ where: file, what: `the module can't be read: ${messageOf(error)}` }]);
  }
  const name = exported === "default" ? basename(file, extname(file)) : exported;
  return { name, version: createHash("sha256").update(bytes).digest("hex").slice(0, 8) };
}
