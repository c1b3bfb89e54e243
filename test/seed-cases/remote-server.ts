import type { SeedCase } from "./case.ts";
import { field, targetOf } from "./case.ts";

/** How the server of a case answers its requests, one after the other. */
export interface ServerPlan {
  /** The status of each; the last one stands for all that come later. */
  readonly statuses: readonly number[];
  /** The body of replies that are no answer. */
  readonly refusal: string;
  /** The body of an answer; undefined: JSON with the number of the request, or 1. */
  readonly answer: string | undefined;
  /** How many requests get no answer in time. */
  readonly late: number;
  /** Whether nobody can be reached at all. */
  readonly away: boolean;
}

const TIMES: Readonly<Record<string, number>> = { once: 1, twice: 2, "three times": 3, thrice: 3 };

/** Reads the feature's words: `HTTP 503 twice then 200`, `HTTP 500 always`, `HTTP 404 is not retried`, `timeout retried`, `non-JSON reply`. */
export function serverPlan(given: SeedCase): ServerPlan {
  const { feature } = given;
  const failing = /HTTP (\d{3})(?: (once|twice|thrice|three times|(\d+) times?|always))?/.exec(feature);
  const status = Number(failing?.[1] ?? 200);
  const times = TIMES[failing?.[2] ?? ""] ?? (failing?.[3] === undefined ? undefined : Number(failing[3]));
  const late = /timeout/i.test(feature) ? (/always/.test(feature) ? Number.POSITIVE_INFINITY : 1) : 0;
  return {
    statuses: times === undefined ? [status] : [...Array.from({ length: times }, () => status), 200],
    refusal: refusalOf(given),
    answer: /non-JSON/i.test(feature) ? "hello" : undefined,
    late,
    away: /connection (?:refused|error)|unreachable/i.test(feature),
  };
}

/** The server's words are told only by the error that comes of them. */
function refusalOf(given: SeedCase): string {
  const errors = field(targetOf(given), "pushed_errors");
  const match = /(?:status \d+: b'(.*)'|response \d+: (.*))$/.exec(JSON.stringify(errors ?? "").replace(/",".*$/, ""));
  return match?.[1] ?? match?.[2] ?? "bad";
}
