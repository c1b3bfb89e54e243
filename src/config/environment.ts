/** Settings from environment variables: MILLRACE_KAFKA_BROKERS for `kafka.brokers`, and so on. */
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

import { messageOf, type Fault } from "../errors.ts";
import { didYouMean } from "../near-miss.ts";
import { environmentName, leaves, mayHoldSecret, shorthands } from "./schema.ts";

/** The variable that names the settings file, where `--config` does not. */
export const CONFIG_VARIABLE = "MILLRACE_CONFIG";

export interface EnvironmentSettings {
  /** In the form that convict takes: by the name of the setting's own variable. */
  readonly env: Readonly<Record<string, string>>;
  /** The variable that gives each setting, by the setting's path. */
  readonly names: ReadonlyMap<string, string>;
  readonly faults: readonly Fault[];
}

/**
 * Reads the environment. An empty variable counts as not set. Passwords, and URLs that may hold one, can also be given as
 * NAME_FILE, the path of a file that holds it. A misspelt variable is a fault, with three exceptions: MILLRACE_TEST_…
 * and MILLRACE_BENCH_…, which our own tests and benchmarks use, and what Kubernetes sets for a Service called `millrace`.
 * A variable of another's standard counts where none of Millrace's own gives the setting.
 * @param folder where relative paths of NAME_FILE count from
 */
export function readEnvironment(environment: Readonly<Record<string, string | undefined>>, folder: string): EnvironmentSettings {
  const env: Record<string, string> = {};
  const names = new Map<string, string>();
  const faults: Fault[] = [];
  const known = knownVariables();
  for (const [name, text] of Object.entries(environment)) {
    if (!name.startsWith("MILLRACE_") || isForeign(name, text ?? "")) continue;
    const variable = known.get(name);
    if (variable === undefined) {
      faults.push({ where: name, what: `there is no setting with this environment variable.${didYouMean(name, known.keys())}` });
    }
    if (variable === undefined || text === undefined || text === "" || variable.path === undefined) continue;
    const { path } = variable;
    const other = names.get(path);
    if (other !== undefined) {
      faults.push({ where: name, what: `${other} gives ${path} as well; set one of them` });
      continue;
    }
    names.set(path, name);
    try {
      env[environmentName(path)] = variable.file ? readFileSync(resolve(folder, text), "utf8").replace(/\r?\n$/, "") : text;
    } catch (error) {
      faults.push({ where: name, what: `the file with ${path} can't be read: ${messageOf(error)}` });
    }
  }
  for (const [path, { standardVariable }] of leaves) {
    const text = standardVariable === undefined ? undefined : environment[standardVariable];
    if (standardVariable === undefined || text === undefined || text === "" || names.has(path)) continue;
    names.set(path, standardVariable);
    env[environmentName(path)] = text;
  }
  return { env, names, faults };
}

interface Variable {
  /** The setting; undefined for MILLRACE_CONFIG. */
  readonly path: string | undefined;
  /** Whether the variable names a file that holds the value. */
  readonly file: boolean;
}

function knownVariables(): ReadonlyMap<string, Variable> {
  const known = new Map<string, Variable>([[CONFIG_VARIABLE, { path: undefined, file: false }]]);
  for (const [path, leaf] of leaves) {
    known.set(environmentName(path), { path, file: false });
    if (mayHoldSecret(leaf)) known.set(`${environmentName(path)}_FILE`, { path, file: true });
  }
  for (const [short, path] of shorthands) known.set(environmentName(short), { path, file: false });
  return known;
}

function isForeign(name: string, text: string): boolean {
  if (name.startsWith("MILLRACE_TEST_") || name.startsWith("MILLRACE_BENCH_")) return true;
  if (/_SERVICE_(?:HOST|PORT(?:_[A-Z0-9_]+)?)$/.test(name)) return true;
  return (
    /_PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?$/.test(name) && (/_\d+_/.test(name) || /^(?:tcp|udp|sctp):\/\//.test(text))
  );
}
