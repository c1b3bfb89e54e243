import { watch } from "node:fs";
import type { FSWatcher } from "node:fs";
import { stat } from "node:fs/promises";

/** A file that is being written is left alone until so long after the last sign of it. Milliseconds. */
const QUIET = 150;

/** How often the folder is looked at where watching shows nothing, as on network drives. Milliseconds. */
const POLL = 10_000;

/**
 * Yields when something in a folder may have changed: soon after the operating system says so, and at every poll. The
 * folder need not exist; it may be deleted and come back.
 */
export async function* folderChanges(folder: string, signal: AbortSignal): AsyncGenerator<void> {
  const bell = new Bell();
  using watcher = new FolderWatcher(folder, () => bell.ring());
  while (!signal.aborted) {
    await watcher.follow();
    await bell.wait(POLL, QUIET, signal);
    if (!signal.aborted) yield;
  }
}

/** Watches the folder that is at a path now, not the one that was there before. */
class FolderWatcher implements Disposable {
  readonly #folder: string;
  readonly #changed: () => void;
  #watcher: FSWatcher | undefined;
  #inode: number | undefined;

  constructor(folder: string, changed: () => void) {
    this.#folder = folder;
    this.#changed = changed;
  }

  async follow(): Promise<void> {
    const inode = await stat(this.#folder).then(
      (stats) => stats.ino,
      () => undefined,
    );
    if (inode === this.#inode && this.#watcher !== undefined) return;
    this[Symbol.dispose]();
    if (inode === undefined) return;
    try {
      this.#watcher = watch(this.#folder, { persistent: false }, this.#changed);
      this.#watcher.on("error", () => this[Symbol.dispose]());
      this.#inode = inode;
      // What changed between the last look at the folder and the start of watching rang no bell.
      this.#changed();
    } catch {
      // Too many watches, or gone again: the poll does it.
    }
  }

  [Symbol.dispose](): void {
    this.#watcher?.close();
    this.#watcher = undefined;
    this.#inode = undefined;
  }
}

/** Rings are heard even when nobody waits. */
class Bell {
  #rung = false;
  #hear: (() => void) | undefined;

  ring(): void {
    this.#rung = true;
    this.#hear?.();
  }

  /** Settles at the first ring that is followed by silence, after `longest`, or on abort. */
  wait(longest: number, quiet: number, signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      let silence: NodeJS.Timeout | undefined;
      const end = () => {
        clearTimeout(silence);
        clearTimeout(limit);
        signal.removeEventListener("abort", end);
        this.#hear = undefined;
        this.#rung = false;
        resolve();
      };
      const limit = setTimeout(end, longest);
      signal.addEventListener("abort", end, { once: true });
      this.#hear = () => {
        clearTimeout(silence);
        silence = setTimeout(end, quiet);
      };
      if (signal.aborted) end();
      else if (this.#rung) this.#hear();
    });
  }
}
