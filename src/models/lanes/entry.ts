/**
 * In a lane: a loaded module, and how it is called.
 */
import type { Logger } from "../../contracts.ts";
import { ConfigError, messageOf, MillraceError, ModelError } from "../../errors.ts";
import type { Model } from "../../model.ts";
import { checkRows, FailedOutput } from "../../pipeline/infer.ts";
import { loadModule } from "../load-module.ts";
import type { EntrySpec, LoadedEntry } from "./messages.ts";

/** What a function gets besides its value, and a model besides its inputs. */
export interface EntryContext {
  readonly signal: AbortSignal;
  readonly logger: Logger;
}

/** A module that is loaded in this lane. */
export interface Entry {
  readonly loaded: LoadedEntry;
  /** Whether calls must wait for each other, as those of a model do. */
  readonly serial: boolean;
  call(input: unknown, context: EntryContext): unknown;
  unload(): Promise<void>;
}

/** @throws {ConfigError} when it is no such module @throws {ModelError} when its `load` or `warmUp` fails */
export async function loadEntry(spec: EntrySpec, signal: AbortSignal): Promise<Entry> {
  return spec.kind === "rows" ? await loadModelEntry(spec, signal) : await loadFunction(spec);
}

async function loadModelEntry(spec: EntrySpec, signal: AbortSignal): Promise<Entry> {
  const { model, identity, release } = await loadModule(spec.url, spec.text);
  try {
    await model.load?.({ settings: spec.settings, signal });
    if (model.warmUp !== undefined) checkRows(await model.predict(model.warmUp, { signal }), model.warmUp.length);
  } catch (error) {
    release();
    throw error instanceof MillraceError ? error : new ModelError(identity, error);
  }
  return {
    loaded: { identity, types: { inputs: model.inputs, outputs: model.outputs } },
    serial: true,
    call: (inputs, context) => model.predict(inputs as Parameters<Model["predict"]>[0], context),
    unload: async () => {
      try {
        await model.unload?.();
      } finally {
        release();
      }
    },
  };
}

async function loadFunction({ url, exportName = "default" }: EntrySpec): Promise<Entry> {
  let imported: Readonly<Record<string, unknown>>;
  try {
    imported = (await import(url)) as typeof imported;
  } catch (error) {
    throw new ConfigError([{ where: url, what: `the module can't be imported: ${messageOf(error)}` }], { cause: error });
  }
  const fn = imported[exportName];
  if (typeof fn !== "function") {
    const what = exportName === "default" ? "its default export is no function" : `it exports no function "${exportName}"`;
    throw new ConfigError([{ where: url, what: `${what}: export the function that is to be called with each value` }]);
  }
  return {
    loaded: { identity: undefined, types: undefined },
    serial: false,
    call: fn as Entry["call"],
    unload: () => Promise.resolve(),
  };
}

/** The rows that failed among the outputs of a model: their numbers and errors in turn; undefined when none did. */
export function failedRows(outputs: unknown): unknown[] | undefined {
  if (!Array.isArray(outputs)) return undefined;
  let failed: unknown[] | undefined;
  for (let index = 0; index < outputs.length; index++) {
    const output: unknown = outputs[index];
    if (output instanceof FailedOutput) (failed ??= []).push(index, output.error);
  }
  return failed;
}
