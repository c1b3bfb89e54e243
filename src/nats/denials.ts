import type { PermissionViolationError } from "@nats-io/transport-node";

import type { Clock } from "../clock.ts";
import { covers } from "./subjects.ts";

/** What a user was not allowed counts as allowed when the server has not refused it for so long, in milliseconds. */
const LASTS = 60_000;
/** How many patterns are remembered as told: there is no end of subjects. */
const MOST_TOLD = 1000;

/** Told why a subject can't be published to; undefined when that was not refused for a while. It must not throw. */
export type DenialListener = (reason: string | undefined) => void;

/** Subjects that somebody publishes to, who wants to know when the user may not. */
interface Watched {
  readonly pattern: string;
  /** What does not work then. */
  readonly consequence: string;
  readonly lasts: number;
  readonly listener: DenialListener;
  cancel: (() => void) | undefined;
}

/** What the server does not let this user do. It says so for each message anew, which is told once for each pattern of subjects. */
export class Denials {
  readonly #clock: Clock;
  readonly #watched = new Set<Watched>();
  readonly #told = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Calls `listener` for subjects of that pattern, until the returned function is called. */
  watch(pattern: string, consequence: string, listener: DenialListener, lasts = LASTS): () => void {
    const watched: Watched = { pattern, consequence, lasts, listener, cancel: undefined };
    this.#watched.add(watched);
    return () => {
      watched.cancel?.();
      this.#watched.delete(watched);
    };
  }

  /** Tells those who watch. @returns what is to be logged; undefined when it was before */
  note({ operation, subject }: PermissionViolationError, server: string): string | undefined {
    const concerned = [...this.#watched].filter(({ pattern }) => operation === "publish" && covers(pattern, subject));
    const [first] = concerned;
    // A user's own inboxes have random names.
    const pattern = first?.pattern ?? (subject.startsWith("_INBOX.") ? "_INBOX.>" : subject);
    const act = operation === "publish" ? "publish" : "subscribe";
    const consequence = first === undefined ? "" : `, so ${first.consequence}`;
    const reason = `NATS ${server} does not let this user ${act} to ${pattern}${consequence}: allow it in the user's permissions`;
    for (const watched of concerned) {
      watched.cancel?.();
      watched.cancel = this.#clock.after(watched.lasts, () => watched.listener(undefined));
      watched.listener(reason);
    }
    if (this.#told.has(reason)) return undefined;
    if (this.#told.size >= MOST_TOLD) this.#told.clear();
    this.#told.add(reason);
    return reason;
  }

  /** Another connection: the user may have other permissions by now. */
  forget(): void {
    this.#told.clear();
    for (const watched of this.#watched) {
      watched.cancel?.();
      watched.cancel = undefined;
    }
  }
}
