import { dirname } from "node:path";

import { folderChanges } from "../../folder-changes.ts";
import type { Contents } from "./file-contents.ts";
import { contentsOf } from "./file-contents.ts";

/** What a FileFollower needs of the model whose files it follows. */
export interface Followed {
  /** What the files held when the model was last loaded, or was tried to be. */
  tried(): Contents;
  /** Loads the model anew. May reject: what became of it is told elsewhere. */
  reload(): Promise<unknown>;
}

/** Has a model loaded anew whenever one of its files holds something else. A file that is gone is waited for. */
export class FileFollower implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #following: Promise<unknown>;

  /** @param files absolute */
  constructor(files: readonly string[], followed: Followed) {
    const folders = new Set(files.map((file) => dirname(file)));
    this.#following = Promise.all(Array.from(folders, (folder) => this.#follow(folder, files, followed)));
  }

  async #follow(folder: string, files: readonly string[], followed: Followed): Promise<void> {
    let seen: Contents | undefined;
    for await (const _ of folderChanges(folder, this.#stop.signal)) {
      seen = await contentsOf(files, seen ?? followed.tried());
      if (seen.held === undefined || seen.held === followed.tried().held) continue;
      // Not waited for: what changes meanwhile is to be noticed.
      followed.reload().catch(() => undefined);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#following;
  }
}
