import { InfrastructureError } from "../../errors.ts";
import type { ModelIdentity } from "../../model-stats.ts";
import type { ModelRunner, RunnerContext } from "../../model.ts";
import { moduleText } from "../load-module.ts";
import type { Dispatcher } from "./dispatcher.ts";
import type { HostedEntry } from "./hosted-entry.ts";
import type { EntrySpec } from "./messages.ts";

/**
 * A model in the lanes of a dispatcher.
 * @param lanes what is disposed of with it: the dispatcher, or a lease of it
 */
export async function laneRunner(
  dispatcher: Dispatcher,
  spec: Omit<EntrySpec, "kind">,
  context: RunnerContext,
  lanes: AsyncDisposable,
): Promise<ModelRunner> {
  const { entry, open } = await hostedBy(dispatcher, { ...spec, kind: "rows" }, context, lanes);
  const { identity, types } = entry;
  if (identity === undefined) {
    await open.disposeAsync();
    throw new InfrastructureError("the model told no name");
  }
  return {
    identity,
    types,
    capacity: entry.capacity,
    run: (rows, call) => entry.run(rows, call) as Promise<ArrayLike<unknown>>,
    [Symbol.asyncDispose]: () => open.disposeAsync(),
  };
}

/** A module in the lanes of a dispatcher, and what ends both. Rejects when it is not wanted any more before it is loaded. */
export async function hostedBy(
  dispatcher: Dispatcher,
  spec: EntrySpec,
  context: RunnerContext,
  lanes: AsyncDisposable,
): Promise<{ readonly entry: HostedEntry; readonly open: AsyncDisposableStack }> {
  await using resources = new AsyncDisposableStack();
  resources.use(lanes);
  const { promise: unwanted, reject } = Promise.withResolvers<never>();
  const abort = () => reject(context.signal.reason as Error);
  context.signal.addEventListener("abort", abort, { once: true });
  if (context.signal.aborted) abort();
  let entry: HostedEntry;
  try {
    // Of functions other lanes may be what their file is by now.
    const text = spec.kind === "rows" ? await moduleText(spec.url) : undefined;
    entry = await Promise.race([dispatcher.host({ ...spec, text }, eventsOf(context, spec.url)), unwanted]);
  } finally {
    context.signal.removeEventListener("abort", abort);
  }
  resources.use(entry);
  return { entry, open: resources.move() };
}

/** Before it has a name, a model is told by its file's. */
function eventsOf(context: RunnerContext, url: string): Parameters<Dispatcher["host"]>[1] {
  const name: ModelIdentity["name"] = url.slice(url.lastIndexOf("/") + 1);
  return {
    waiting: (reason) => context.waiting(reason === undefined ? undefined : `model ${name}: ${reason}`),
    restarted: () => context.events.restarted(),
  };
}
