/** Makes the daemon's settings of defaults < settings file < environment < `--set`, checks them, and says where each came from. */
import { existsSync } from "node:fs";
import { dirname, isAbsolute, relative, resolve } from "node:path";

import convict from "convict";

import { ConfigError, messageOf, type Fault } from "../errors.ts";
import { redact, SECRET, urlPasswords } from "../secrets.ts";
import { SettingsBuilder } from "./build.ts";
import { CONFIG_VARIABLE, readEnvironment } from "./environment.ts";
import { readSettingsFile, type SettingsFile } from "./file.ts";
import { formats, type Leaf, type Problem } from "./formats.ts";
import { readOverrides } from "./overrides.ts";
import { environmentName, isLeaf, leaves, schema, type Section } from "./schema.ts";
import { originText, type LoadedSettings, type Origin, type SettingEntry } from "./settings.ts";

/** The settings file that is read when none is named and it exists, in the current directory. */
export const DEFAULT_FILE = "config/millrace.yaml";

export interface LoadOptions {
  /** The settings file, relative to `cwd`; undefined: MILLRACE_CONFIG, else the default file if there is one. */
  readonly file?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** `kafka.brokers=a:9092,b:9092`, one for each `--set`. */
  readonly sets: readonly string[];
  /** The current directory: relative paths count from it, but those in the settings file from that file's folder. */
  readonly cwd: string;
}

/** Settings with whatever is wrong with them. */
export interface ReadSettings extends LoadedSettings {
  readonly faults: readonly Fault[];
  /** Settings that have their default because what was given is wrong; `undefined` when the whole file can't be read. */
  readonly faulty: ReadonlySet<string> | undefined;
}

/**
 * Loads the settings.
 * @throws {ConfigError} naming everything that is wrong with them, not just the first
 */
export function loadSettings(options: LoadOptions): LoadedSettings {
  const { faults, faulty: _faulty, ...loaded } = readSettings(options);
  if (faults.length > 0) throw new ConfigError(faults);
  return loaded;
}

/** Reads the settings like `loadSettings`, with defaults in the place of what is wrong, so that the rest can be checked too. */
export function readSettings(options: LoadOptions): ReadSettings {
  const path = settingsFilePath(options);
  const shown = path === undefined ? "" : shownPath(path, options.cwd);
  const file = path === undefined ? undefined : readSettingsFile(path, shown);
  const environment = readEnvironment(options.env, options.cwd);
  const overrides = readOverrides(options.sets);
  const faults: Fault[] = [...(file?.faults ?? []), ...environment.faults, ...overrides.faults];
  const faulty = new Set(file?.faulty);

  const originOf = (setting: string): Origin => {
    if (overrides.values.has(setting)) return { from: "set" };
    const name = environment.names.get(setting);
    if (name !== undefined) return { from: "env", name };
    return file?.values.has(setting) === true ? { from: "file", file: shown, line: file.lineOf(setting) } : { from: "default" };
  };
  const report = (setting: string, problem: Problem) => {
    faulty.add(setting);
    faults.push(locate(setting, problem, originOf(setting), file));
  };
  const { given, values } = layer(file?.values, environment.env, overrides.values, report);
  const builder = new SettingsBuilder(values, {
    file: path,
    directory: path === undefined ? options.cwd : dirname(path),
    folderOf: (setting) => (originOf(setting).from === "file" && path !== undefined ? dirname(path) : options.cwd),
    originOf,
    isFaulty: (setting) => faulty.has(setting),
    report,
  });
  const settings = builder.build();
  const secrets = secretsOf(given, file?.secrets ?? [], builder.secrets);
  const entries = [...leaves].map(([setting, leaf]): SettingEntry => {
    const hidden = leaf.sensitive === true || file?.referring.has(setting) === true;
    const origin = originOf(setting);
    return { path: setting, shown: shownEntry(given[setting], secrets, hidden && origin.from !== "default"), origin };
  });
  return {
    settings,
    entries,
    secrets,
    warnings: builder.warnings,
    faults: faults.map(({ where, what }) => ({ where, what: redact(what, secrets) })),
    faulty: file?.unread === true ? undefined : faulty,
  };
}

function settingsFilePath({ file, env, cwd }: LoadOptions): string | undefined {
  const named = file ?? (env[CONFIG_VARIABLE] === "" ? undefined : env[CONFIG_VARIABLE]);
  if (named !== undefined) return resolve(cwd, named);
  const usual = resolve(cwd, DEFAULT_FILE);
  return existsSync(usual) ? usual : undefined;
}

/** Relative to the current directory when it is below it. */
function shownPath(path: string, cwd: string): string {
  const short = relative(cwd, path);
  return short.startsWith("..") || isAbsolute(short) ? path : short;
}

/** By setting. */
type Values = Readonly<Record<string, unknown>>;

/** Puts the layers over one another, by convict, and checks the effective values: as given, and with defaults for faulty ones. */
function layer(
  file: ReadonlyMap<string, unknown> | undefined,
  env: Readonly<Record<string, string>>,
  overrides: ReadonlyMap<string, string | null>,
  report: (setting: string, problem: Problem) => void,
): { readonly given: Values; readonly values: Values } {
  const faulty = new Set<string>();
  registerFormats();
  const config = convict<Record<string, unknown>>(
    convictSchema(schema, "", (setting, problem) => {
      faulty.add(setting);
      report(setting, problem);
    }),
    { env, args: [] },
  );
  config.load(nested(file ?? new Map()));
  for (const [setting, value] of overrides) config.set(setting, value);
  try {
    config.validate({ allowed: "strict" });
  } catch (error) {
    // Convict stops at nothing else: each value's faults are reported by its format.
    if (faulty.size === 0) report("", { within: "", what: messageOf(error) });
  }
  const given = Object.fromEntries([...leaves.keys()].map((setting) => [setting, config.get(setting)]));
  const values = Object.fromEntries(
    Object.entries(given).map(([setting, value]) => [setting, faulty.has(setting) ? config.default(setting) : value]),
  );
  return { given, values };
}

/** What convict gives a format: the schema's own node. */
interface ConvictNode extends Leaf {
  readonly report: (problem: Problem) => void;
}

let registered = false;

/** Convict keeps formats for the whole process. */
function registerFormats(): void {
  if (registered) return;
  registered = true;
  for (const [name, format] of Object.entries(formats)) {
    convict.addFormat({
      name,
      coerce: (value: unknown) => (typeof value === "string" ? format.fromText(value) : value),
      validate(value: unknown, node: unknown) {
        const { report, ...leaf } = node as ConvictNode;
        const problems = format.check(value, leaf);
        for (const problem of problems) report(problem);
        if (problems.length > 0) throw new Error("see what was reported");
      },
    });
  }
}

function convictSchema(
  section: Section,
  prefix: string,
  report: (setting: string, problem: Problem) => void,
): convict.Schema<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(section).map(([name, node]) => {
      const setting = prefix + name;
      if (!isLeaf(node)) return [name, convictSchema(node, `${setting}.`, report)];
      return [name, { ...node, env: environmentName(setting), report: (problem: Problem) => report(setting, problem) }];
    }),
  ) as convict.Schema<Record<string, unknown>>;
}

/** `kafka.brokers` → `{ kafka: { brokers } }`. */
function nested(values: ReadonlyMap<string, unknown>): object {
  const root: Record<string, unknown> = {};
  for (const [setting, value] of values) {
    const names = setting.split(".");
    let section = root;
    for (const name of names.slice(0, -1)) section = (section[name] ??= {}) as Record<string, unknown>;
    const isMap = typeof value === "object" && value !== null && !Array.isArray(value);
    // Convict would take the keys of a map for settings; its format reads it from text.
    section[names.at(-1) ?? setting] = isMap ? JSON.stringify(value) : value;
  }
  return root;
}

function locate(setting: string, { within, what }: Problem, origin: Origin, file: SettingsFile | undefined): Fault {
  const path = setting + within;
  if (origin.from === "file" && file !== undefined) return { where: `${origin.file}:${file.lineOf(path)}`, what: `${path}: ${what}` };
  if (origin.from === "set") return { where: `--set ${path}`, what };
  return { where: originText(origin), what: `${path}: ${what}` };
}

function secretsOf(values: Values, referred: readonly string[], read: readonly string[]): readonly string[] {
  const sensitive = [...leaves].filter(([, leaf]) => leaf.sensitive === true).map(([setting]) => values[setting]);
  const all = [...sensitive.filter((value) => typeof value === "string"), ...referred, ...urlPasswords(values), ...read];
  return [...new Set(all.filter((secret) => secret !== ""))];
}

function shownEntry(value: unknown, secrets: readonly string[], hidden: boolean): unknown {
  if (value === null || value === undefined) return null;
  if (typeof value === "string") return hidden && redact(value, secrets) === value ? SECRET : redact(value, secrets);
  if (Array.isArray(value)) return value.map((item) => shownEntry(item, secrets, false));
  if (typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, shownEntry(item, secrets, false)]));
  }
  return hidden ? SECRET : value;
}
