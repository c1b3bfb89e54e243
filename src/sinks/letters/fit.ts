/** Letters that are too large for their box: less of them is kept, rather than that the task stops for ever. */
import type { DeadLetter } from "../../dead-letter.ts";
import { MillraceError, shortened } from "../../errors.ts";

/** How much of a message stays, in characters. */
const SHORT_MESSAGE = 1000;

/** The box refuses a letter for its size, or for what is in it. */
export class LetterRefusedError extends MillraceError {
  override readonly name = "LetterRefusedError";
}

/**
 * Writes a letter, and where it is refused less of it: first without the stack and the end of a long message, then without
 * value and headers, with a note how many bytes are missing.
 * @param write throws LetterRefusedError when the box will not take it as it is
 * @throws {LetterRefusedError} when even that is refused
 */
export async function writeFitting<R>(letter: DeadLetter, write: (letter: DeadLetter) => R | Promise<R>): Promise<R> {
  let refusal: LetterRefusedError | undefined;
  for (const less of [asIs, withoutStack, withoutValue]) {
    try {
      return await write(less(letter, refusal));
    } catch (error) {
      if (!(error instanceof LetterRefusedError)) throw error;
      refusal = error;
    }
  }
  throw refusal ?? new LetterRefusedError("the letter is refused");
}

function asIs(letter: DeadLetter): DeadLetter {
  return letter;
}

function withoutStack(letter: DeadLetter): DeadLetter {
  return { ...letter, stack: undefined, message: shortened(letter.message, SHORT_MESSAGE) };
}

function withoutValue(letter: DeadLetter, refusal: LetterRefusedError | undefined): DeadLetter {
  const size = letter.value?.length ?? 0;
  const note = `(${size} bytes of value and all headers are left out: ${shortened(refusal?.message ?? "", SHORT_MESSAGE)})`;
  const less = withoutStack(letter);
  return { ...less, message: `${less.message} ${note}`, value: null, headers: undefined, leftOut: size };
}
