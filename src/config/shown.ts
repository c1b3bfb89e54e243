import { maskUrl } from "../secrets.ts";

/** A setting's value in a message: as JSON, without passwords. A long one is not shown: cut short, a part of a secret would be left. */
export function shown(value: unknown): string {
  const text = maskUrl(JSON.stringify(value) ?? String(value));
  return text.length > 100 ? `${text.length} characters` : text;
}
