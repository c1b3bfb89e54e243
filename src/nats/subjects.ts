/** Subjects of NATS: tokens with dots between. */

/** Whether a subject is one of a pattern with `*` and `>`. */
export function covers(pattern: string, subject: string): boolean {
  const tokens = subject.split(".");
  const wanted = pattern.split(".");
  const open = wanted.at(-1) === ">";
  if (open ? tokens.length < wanted.length : tokens.length !== wanted.length) return false;
  return wanted.every((token, index) => token === "*" || token === tokens[index] || (open && index === wanted.length - 1));
}

/** A form for names of streams and consumers, and subjects that may have wildcards. */
export const NAME_FORM = /^[^\s.*>/\\]+$/;
export const FILTER_FORM = /^[^\s.]+(\.[^\s.]+)*$/;

/** Any text as the name of a consumer: what NATS refuses there becomes `_`. */
export function asName(text: string): string {
  return text.replaceAll(/[\s.*>/\\]/g, "_");
}
