/**
 * Reads the numbers of one JSON array from bytes without making anything else of them. Only what nearly all producers write is read; for
 * the rest it says so, and a real parser decides what it is.
 */

const QUOTE = 0x22;
const COMMA = 0x2c;
const MINUS = 0x2d;
const PLUS = 0x2b;
const POINT = 0x2e;
const ZERO = 0x30;
const COLON = 0x3a;
const OPEN_LIST = 0x5b;
const BACKSLASH = 0x5c;
const CLOSE_LIST = 0x5d;
const OPEN_OBJECT = 0x7b;
const CLOSE_OBJECT = 0x7d;

/** Where nothing can be said: to be looked at by a real parser. */
const UNUSUAL = -1;

/** A digit, a point, two decimals and a comma. */
const SHORT = 5;

/** So many digits always fit into 31 bits. */
const DIGITS = 9;

/** Powers of ten that are exact as doubles, as the whole numbers up to 2^53 are, so that a quotient of both is rounded once: as a parser would. */
const POWERS = Float64Array.from({ length: DIGITS + 1 }, (_, exponent) => 10 ** exponent);

/** For a digit and two decimals, as one number, what they are worth. */
const HUNDREDTHS = Float64Array.from({ length: 1000 }, (_, hundredths) => hundredths / 100);

// Four bytes at a time.
const COMMAS = 0x2c2c2c2c;
const ZEROS = 0x30303030;
const LOWEST_BITS = 0x01010101;
const HIGHEST_BITS = 0x80808080;

/** What stands behind the digit, by the length of what there is before the comma; a point alone is none, and nor is what is longer. */
const SECOND = Int16Array.of(ZERO, -1, POINT, POINT, -1, -1, -1, -1);

/** Finds an array of so many numbers: in a field of an object, or as the value itself. */
export class JsonNumbers {
  readonly #field: Uint8Array | undefined;
  readonly #count: number;
  readonly #scale: number;

  /**
   * @param field the name of the object's member; undefined when the array is the value
   * @param count how many numbers it must have, at least 1
   * @param scale what each is multiplied with
   */
  constructor(field: string | undefined, count: number, scale: number) {
    this.#field = field === undefined ? undefined : Buffer.from(field);
    this.#count = count;
    this.#scale = scale;
  }

  /**
   * Writes the numbers to `out` from `at` on, each as `JSON.parse` would have it, scaled and rounded to a float.
   * @returns whether they could be read; if not, `out` may hold some of them
   */
  read(bytes: Uint8Array, out: Float32Array, at: number): boolean {
    // Behind what ends a list or object nothing is read, so the loops need not look where the bytes end.
    const last = bytes[bytes.length - 1];
    if (last !== CLOSE_OBJECT && last !== CLOSE_LIST) return false;
    const end = this.#field === undefined ? this.#numbers(bytes, skipSpace(bytes, 0), out, at) : this.#member(bytes, this.#field, out, at);
    return end === bytes.length;
  }

  /** Reads an object of simple members, one of which is the array. @returns the place behind it */
  #member(bytes: Uint8Array, field: Uint8Array, out: Float32Array, at: number): number {
    let place = skipSpace(bytes, 0);
    if (bytes[place] !== OPEN_OBJECT) return UNUSUAL;
    let found = 0;
    do {
      const name = skipSpace(bytes, place + 1);
      place = bytes[name] === QUOTE ? skipText(bytes, name) : UNUSUAL;
      if (place === UNUSUAL) return UNUSUAL;
      const isField = isName(bytes, name + 1, place - 1, field);
      place = skipSpace(bytes, place);
      if (bytes[place] !== COLON) return UNUSUAL;
      place = skipSpace(bytes, place + 1);
      if (isField) found += 1;
      place = isField ? this.#numbers(bytes, place, out, at) : skipSimple(bytes, place);
      if (place === UNUSUAL) return UNUSUAL;
      place = skipSpace(bytes, place);
    } while (bytes[place] === COMMA);
    // Of several the last would count.
    return bytes[place] === CLOSE_OBJECT && found === 1 ? place + 1 : UNUSUAL;
  }

  /** Reads the array. @returns the place behind it */
  #numbers(bytes: Uint8Array, begin: number, out: Float32Array, at: number): number {
    const count = this.#count;
    const scale = this.#scale;
    if (bytes[begin] !== OPEN_LIST) return UNUSUAL;
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    const lastShort = bytes.length - SHORT;
    let place = begin;
    let byte = COMMA;
    for (let index = 0; index < count; index++) {
      if (byte !== COMMA) return UNUSUAL;
      byte = bytes[++place] as number;
      if (place <= lastShort) {
        // One digit and at most two decimals, without a branch for each byte: what is behind the comma is taken for zeros.
        const word = view.getInt32(place + 1, true);
        const others = word ^ COMMAS;
        const commas = (others - LOWEST_BITS) & ~others & HIGHEST_BITS;
        const comma = commas & -commas;
        const before = (comma >>> 7) - 1;
        const text = (word & before) | (ZEROS & ~before);
        const length = (31 - Math.clz32(comma)) >>> 3;
        const ones = byte - ZERO;
        const tenths = ((text >>> 8) & 0xff) - ZERO;
        const hundredths = ((text >>> 16) & 0xff) - ZERO;
        // All are from 0 to 9 where neither they nor they and six have more than four bits.
        const digits = ones | tenths | hundredths | (ones + 6) | (tenths + 6) | (hundredths + 6);
        if ((digits & ~0xf) === 0 && SECOND[length & 7] === (text & 0xff)) {
          out[at + index] = (HUNDREDTHS[ones * 100 + tenths * 10 + hundredths] as number) * scale;
          place += length + 1;
          byte = COMMA;
          continue;
        }
      }
      if (byte <= 0x20) {
        place = skipSpace(bytes, place);
        byte = bytes[place] as number;
      }
      const sign = byte;
      if (sign === MINUS) byte = bytes[++place] as number;
      let digit = byte - ZERO;
      if (digit < 0 || digit > 9) return UNUSUAL;
      const first = place;
      let digits = digit;
      byte = bytes[++place] as number;
      // No number begins with 0 but 0 itself: another digit behind it is told by what may follow.
      if (digit !== 0) {
        while ((digit = byte - ZERO) >= 0 && digit <= 9) {
          digits = (digits * 10 + digit) | 0;
          byte = bytes[++place] as number;
        }
      }
      let number: number;
      if (byte === POINT) {
        const point = place;
        byte = bytes[++place] as number;
        while ((digit = byte - ZERO) >= 0 && digit <= 9) {
          digits = (digits * 10 + digit) | 0;
          byte = bytes[++place] as number;
        }
        const decimals = place - point - 1;
        if (decimals === 0 || place - first - 1 > DIGITS) return UNUSUAL;
        number = digits / (POWERS[decimals] as number);
      } else {
        if (place - first > DIGITS) return UNUSUAL;
        number = digits;
      }
      out[at + index] = (sign === MINUS ? -number : number) * scale;
      if (byte <= 0x20) {
        place = skipSpace(bytes, place);
        byte = bytes[place] as number;
      }
    }
    return byte === CLOSE_LIST ? place + 1 : UNUSUAL;
  }
}

function skipSpace(bytes: Uint8Array, begin: number): number {
  let place = begin;
  for (let byte = bytes[place]; byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09; byte = bytes[++place]);
  return place;
}

function isName(bytes: Uint8Array, begin: number, end: number, field: Uint8Array): boolean {
  if (end - begin !== field.length) return false;
  for (let index = 0; index < field.length; index++) {
    if (bytes[begin + index] !== field[index]) return false;
  }
  return true;
}

/** Skips a text of printable ASCII without escapes. @returns the place behind it */
function skipText(bytes: Uint8Array, quote: number): number {
  for (let place = quote + 1; place < bytes.length; place++) {
    const byte = bytes[place] as number;
    if (byte === QUOTE) return place + 1;
    if (byte < 0x20 || byte > 0x7e || byte === BACKSLASH) return UNUSUAL;
  }
  return UNUSUAL;
}

/** Skips a number, a simple text, true, false or null. @returns the place behind it */
function skipSimple(bytes: Uint8Array, begin: number): number {
  const first = bytes[begin] as number;
  if (first === QUOTE) return skipText(bytes, begin);
  let end = begin;
  while (end < bytes.length && isDigit(bytes[end] as number)) end++;
  // Most are whole numbers.
  if (first > ZERO && end > begin && !isWordByte(bytes[end] as number)) return end;
  while (end < bytes.length && isWordByte(bytes[end] as number)) end++;
  if (end - begin > LONGEST_WORD) return UNUSUAL;
  return SIMPLE.test(String.fromCharCode(...bytes.subarray(begin, end))) ? end : UNUSUAL;
}

const LONGEST_WORD = 32;
const SIMPLE = /^(?:-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?|true|false|null)$/;

function isWordByte(byte: number): boolean {
  return isDigit(byte) || byte === MINUS || byte === PLUS || byte === POINT || isLetter(byte);
}

function isDigit(byte: number): boolean {
  return byte >= ZERO && byte <= 0x39;
}

function isLetter(byte: number): boolean {
  return (byte >= 0x41 && byte <= 0x5a) || (byte >= 0x61 && byte <= 0x7a);
}
