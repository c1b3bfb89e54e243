import type { Description } from "../contracts.ts";
import type { LoadRunner, ModelSpec, SpecOf } from "../model.ts";
import { openHost } from "./host.ts";

/** A way to run a model. */
export interface Place {
  readonly kind: string;
  readonly description: Description;
  /** The same for what may be one copy in a process: the model's URL or path, and everything that makes it another model or runs it otherwise. */
  readonly key: string;
  /** What holds for a step that does not say otherwise. */
  readonly defaults?: ModelSpec["defaults"];
  /** Loads a version of it; called again for each that is to take the place of the one that serves. */
  readonly load: LoadRunner;
  /** Paths of files, absolute or counting from the daemon's directory: when one of them changes, the model is loaded anew. */
  readonly files?: readonly string[] | undefined;
  /** Looks whether it can be loaded at all, without loading it, as where a task is checked. @throws {ConfigError} when it can't */
  readonly check?: (() => Promise<void>) | undefined;
}

/** A model in a place, as part of a plan. */
export function placed(place: Place): ModelSpec {
  const { kind, description, defaults, files, check } = place;
  return { kind, description, defaults, files, check, open: (context, options) => openHost(place, context, options) };
}

/** The same with the types of its file: what runs can't know them. */
export function typed<M>(place: Place): SpecOf<M> {
  return placed(place) as unknown as SpecOf<M>;
}
