/** Why an instance can't work now: source and sinks tell their own reasons, and one is over only when the one who told it says so. */
export class Reasons {
  readonly #tell: (reason: string | undefined) => void;
  readonly #reasons = new Map<string, string>();
  #told: string | undefined;

  constructor(tell: (reason: string | undefined) => void) {
    this.#tell = tell;
  }

  /** Whether that part can't work now. */
  has(part: string): boolean {
    return this.#reasons.has(part);
  }

  /** What one part says: a reason, or undefined when it can work. */
  set(part: string, reason: string | undefined): void {
    if (reason === undefined) this.#reasons.delete(part);
    else this.#reasons.set(part, reason);
    const [first] = this.#reasons.values();
    if (first === this.#told) return;
    this.#told = first;
    this.#tell(first);
  }
}
