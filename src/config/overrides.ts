/** Settings from the command line: `--set kafka.brokers=a:9092,b:9092`. */
import type { Fault } from "../errors.ts";
import { environmentName, leaves, shorthands } from "./schema.ts";
import { unknownSetting } from "./unknown.ts";

export interface Overrides {
  /** The text of each setting that is given, by path; null for `null`. */
  readonly values: ReadonlyMap<string, string | null>;
  readonly faults: readonly Fault[];
}

/** Reads the values of `--set`. Of two for one setting the last counts. */
export function readOverrides(sets: readonly string[]): Overrides {
  const values = new Map<string, string | null>();
  const faults: Fault[] = [];
  for (const text of sets) {
    const equals = text.indexOf("=");
    const given = (equals < 0 ? text : text.slice(0, equals)).trim();
    const value = text.slice(equals + 1);
    const path = shorthands.get(given) ?? given;
    const where = `--set ${given}`;
    const leaf = leaves.get(path);
    if (leaf === undefined) faults.push({ where, what: whyUnknown(given) });
    else if (equals < 0) faults.push({ where, what: `needs a value: --set ${given}=VALUE` });
    else if (value === "" && leaf.nullable !== true) faults.push({ where, what: "has no value; leave it out for the default" });
    else values.set(path, (value === "" || value === "null") && leaf.nullable === true ? null : value);
  }
  return { values, faults };
}

function whyUnknown(path: string): string {
  const within = [...leaves.keys()].filter((leaf) => leaf.startsWith(`${path}.`));
  if (within.length > 0) return `is a group of settings: set one of ${within.join(", ")}`;
  const whole = [...leaves.keys()].find((leaf) => path.startsWith(`${leaf}.`) || path.startsWith(`${leaf}[`));
  if (whole !== undefined)
    return `only the whole of ${whole} can be set, as JSON or with commas (${environmentName(whole)} takes the same)`;
  return unknownSetting(path);
}
