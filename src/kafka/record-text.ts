/** How the bytes of record keys and header names become text. */

/** How the bytes of a key become text: as UTF-8, or byte by byte. */
export type KeyEncoding = "utf8" | "latin1";

const strictUtf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/**
 * The text of a key, from `start` to before `end`.
 * @throws {TypeError} when it is to be UTF-8 and is not; the message names the setting
 */
export function keyText(bytes: Buffer, start: number, end: number, encoding: KeyEncoding): string {
  // Keys are ASCII nearly always; that check is much cheaper than decoding UTF-8.
  if (encoding === "latin1" || isAscii(bytes, start, end)) return bytes.toString("latin1", start, end);
  try {
    return strictUtf8.decode(bytes.subarray(start, end));
  } catch {
    throw new TypeError('the key is not valid UTF-8; set keyEncoding: "latin1" on the kafka source to take keys byte by byte');
  }
}

function isAscii(bytes: Buffer, start: number, end: number): boolean {
  for (let index = start; index < end; index++) if ((bytes[index] as number) > 0x7f) return false;
  return true;
}
