import type { Leaf } from "../config/formats.ts";
import { environmentName, leaves, mayHoldSecret } from "../config/schema.ts";
import { originText, type SettingEntry } from "../config/settings.ts";
import { EXIT } from "./exit-codes.ts";
import type { ConfigFlags } from "./program.ts";
import { settingsOf } from "./settings-flags.ts";
import type { Surroundings } from "./surroundings.ts";
import { alignColumns } from "./table.ts";

/** `millrace config`. */
export async function config(flags: ConfigFlags, surroundings: Surroundings): Promise<number> {
  if (flags.explain === true) {
    surroundings.out([...leaves].map(explanation).join("\n"));
    return EXIT.done;
  }
  const { entries } = settingsOf(flags, surroundings);
  surroundings.out(flags.json === true ? asJson(entries) : asText(entries));
  return EXIT.done;
}

function explanation([path, leaf]: readonly [string, Leaf]): string {
  const own = environmentName(path);
  const variables = [
    own,
    ...(mayHoldSecret(leaf) ? [`${own}_FILE`] : []),
    ...(leaf.standardVariable === undefined ? [] : [leaf.standardVariable]),
  ];
  const limits = [
    ...(leaf.choices === undefined ? [] : [`one of ${leaf.choices.join(", ")}`]),
    ...(leaf.format === "whole" && leaf.min !== undefined ? [`at least ${leaf.min}`] : []),
    ...(leaf.format === "duration" && leaf.min !== undefined && leaf.min > 0 ? [`at least ${leaf.min} ms`] : []),
    ...(leaf.format === "size" && leaf.min !== undefined ? [`at least ${leaf.min / 1024 ** 2} MiB`] : []),
    ...(leaf.max === undefined ? [] : [`at most ${leaf.max}`]),
    `default ${valueText(leaf.default)}`,
  ];
  return `${path} (${variables.join(", or ")})\n  ${leaf.doc}\n  ${limits.join("; ")}\n`;
}

/** `[{ name, value, origin }]`. */
function asJson(entries: readonly SettingEntry[]): string {
  const shown = entries.map(({ path, shown, origin }) => ({ name: path, value: shown, origin: originText(origin) }));
  return `${JSON.stringify(shown, undefined, 2)}\n`;
}

function asText(entries: readonly SettingEntry[]): string {
  return alignColumns(entries.map(({ path, shown, origin }) => [path, valueText(shown), originText(origin)]));
}

function valueText(value: unknown): string {
  if (value === null) return "-";
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.every((item) => typeof item === "string")) return value.join(",");
  return JSON.stringify(value);
}
