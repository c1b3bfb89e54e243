/** Any text as one token of a name with separators: of a subject of NATS, or of an id. */

const PLAIN = /^[\w-]+$/;
const NOT_PLAIN = /[^\w-]/gu;
const encoder = new TextEncoder();

/** All but ASCII letters, digits, `_` and `-` is percent-encoded, in UTF-8. */
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
