import type { Position } from "../../src/batch.ts";
import type { CheckpointBytes, CheckpointClaim, CheckpointName, CheckpointStore, StoredCheckpoint } from "../../src/checkpoint-store.ts";
import { OwnershipLostError } from "../../src/errors.ts";
import { decodeManifest } from "../../src/pipeline/state/manifest.ts";
import type { Process } from "./process.ts";
import type { Service } from "./service.ts";

interface Entry {
  readonly name: CheckpointName;
  epoch: number;
  manifest: Uint8Array | undefined;
  readonly parts: Map<string, Uint8Array>;
}

/** Told of each save that the store has taken. */
export type SaveJudge = (save: {
  readonly partition: string;
  readonly position: Position;
  readonly process: Process;
  /** Whether another has claimed the partition since. */
  readonly fenced: boolean;
}) => void;

/** What processes keep their checkpoints in. */
export class SharedStore {
  readonly service: Service;
  readonly entries = new Map<string, Entry>();
  onSave: SaveJudge = () => undefined;

  constructor(service: Service) {
    this.service = service;
  }

  /** The store as a process sees it. */
  client(process: Process): CheckpointStore {
    const ask = <R>(what: string, effect: () => R, signal: AbortSignal): Promise<R> =>
      unlessAborted(process.ask(this.service, what, effect), signal);
    return {
      claim: (name, signal) => ask(`claim ${name.partition}`, () => this.#claim(name, process, ask), signal),
      list: (_, signal) => ask("list", () => [...this.entries.values()].map(storedOf), signal),
      part: (name, id, signal) => ask(`part ${id}`, () => this.#entry(name).parts.get(id), signal),
      remove: (name, signal) => ask("remove", () => void this.entries.delete(keyOf(name)), signal),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    };
  }

  #claim(
    name: CheckpointName,
    process: Process,
    ask: <R>(what: string, effect: () => R, signal: AbortSignal) => Promise<R>,
  ): CheckpointClaim {
    const entry = this.#entry(name);
    const epoch = ++entry.epoch;
    const fenced = () => entry.epoch !== epoch;
    const own = () => {
      if (fenced()) throw new OwnershipLostError(`epoch ${entry.epoch} has taken over from ${epoch}`);
    };
    const { partition } = name;
    return {
      ...storedOf(entry),
      save: (checkpoint, signal) => {
        // Copied as it is sent.
        const bytes = copyOf(checkpoint);
        const { position } = decodeManifest(bytes.manifest);
        return ask(
          `save ${partition}@${position} (epoch ${epoch})`,
          () => {
            own();
            this.onSave({ partition, position, process, fenced: fenced() });
            for (const [id, part] of bytes.added) entry.parts.set(id, part);
            entry.manifest = bytes.manifest;
            for (const id of bytes.dropped) entry.parts.delete(id);
          },
          signal,
        );
      },
      finish: (signal) =>
        ask(
          `finish ${partition}`,
          () => {
            own();
            entry.manifest = undefined;
            entry.parts.clear();
          },
          signal,
        ),
      sweep: (kept, signal) =>
        ask(
          `sweep ${partition}`,
          () => {
            own();
            for (const id of entry.parts.keys()) if (!kept.has(id)) entry.parts.delete(id);
          },
          signal,
        ),
    };
  }

  #entry(name: CheckpointName): Entry {
    const entry = this.entries.get(keyOf(name)) ?? { name, epoch: 0, manifest: undefined, parts: new Map() };
    this.entries.set(keyOf(name), entry);
    return entry;
  }
}

function keyOf({ task, partition }: CheckpointName): string {
  return `${task} ${partition}`;
}

function storedOf({ name, epoch, manifest }: Entry): StoredCheckpoint {
  return { name, epoch, manifests: manifest === undefined ? [] : [manifest] };
}

function copyOf({ manifest, added, dropped }: CheckpointBytes): CheckpointBytes {
  return { manifest: manifest.slice(), added: new Map(Array.from(added, ([id, part]) => [id, part.slice()])), dropped };
}

/** What comes, or the signal's reason when that aborts first. */
export function unlessAborted<R>(coming: Promise<R>, signal: AbortSignal): Promise<R> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason as Error);
    if (signal.aborted) abort();
    signal.addEventListener("abort", abort, { once: true });
    coming.finally(() => signal.removeEventListener("abort", abort)).then(resolve, reject);
  });
}
