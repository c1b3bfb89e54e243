/** How much is kept. Batches have some hundred sizes at most. */
const MOST = 512;

/**
 * What was made of a text, kept for the next time that it comes: requests and replies with binary tensors differ only in their shapes
 * but for the tensors themselves, and making them anew would cost more than the rest of a small call.
 */
export class Kept<T> {
  readonly #byText = new Map<string, T>();

  get(text: string, make: () => T): T {
    let made = this.#byText.get(text);
    if (made !== undefined) return made;
    made = make();
    if (this.#byText.size >= MOST) this.#byText.clear();
    this.#byText.set(text, made);
    return made;
  }
}
