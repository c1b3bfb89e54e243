/** Subjects of NATS: tokens with dots between. */

const PLAIN = /^[\w-]+$/;
const NOT_PLAIN = /[^\w-]/gu;
const encoder = new TextEncoder();

/** Any text as one token of a subject: all but ASCII letters, digits, `_` and `-` is percent-encoded, in UTF-8. */
export function encodeToken(text: string): string {
  if (PLAIN.test(text)) return text;
  return text.replaceAll(NOT_PLAIN, (character) =>
    [...encoder.encode(character)].map((byte) => `%${byte.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
}

/** The text of a token that `encodeToken` made; other tokens stay as they are. */
export function decodeToken(token: string): string {
  if (!token.includes("%")) return token;
  try {
    return decodeURIComponent(token);
  } catch {
    return token;
  }
}

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
