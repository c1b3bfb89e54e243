import { originText, type SettingEntry } from "../config/settings.ts";
import { EXIT } from "./exit-codes.ts";
import { type SettingsFlags, settingsOf } from "./settings-flags.ts";
import type { Surroundings } from "./surroundings.ts";
import { alignColumns } from "./table.ts";

/** `millrace config`. */
export async function config(flags: SettingsFlags & { readonly json?: true }, surroundings: Surroundings): Promise<number> {
  const { entries } = settingsOf(flags, surroundings);
  surroundings.out(flags.json === true ? asJson(entries) : asText(entries));
  return EXIT.done;
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
