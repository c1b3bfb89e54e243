import { Random } from "./random.ts";

interface Happening {
  readonly at: number;
  readonly number: number;
  run: (() => void) | undefined;
}

/** Something promised to every run was not kept. */
export interface Violation {
  readonly rule: string;
  readonly what: string;
}

/** A time jump so long gets more turns of the event loop first: what needs no time, such as restoring, ends before it. */
const LONG_JUMP = 50;
const TURNS_BEFORE_JUMP = 3;

/** Virtual time: what happens is done one by one, in the order of its time, and all that it causes settles in between. */
export class World {
  readonly random: Random;
  now = 0;
  readonly violations: Violation[] = [];
  /** What happened, for people; kept only when `tracing`. */
  readonly trace: string[] = [];
  readonly tracing: boolean;
  /** The same for the same happenings. */
  digest = 0;
  readonly #heap: Happening[] = [];
  #number = 0;

  constructor(seed: number, tracing = false) {
    this.random = new Random(seed, "world");
    this.tracing = tracing;
  }

  /** @returns cancels it */
  after(ms: number, run: () => void): () => void {
    const happening: Happening = { at: this.now + Math.max(0, ms), number: this.#number++, run };
    push(this.#heap, happening);
    return () => {
      happening.run = undefined;
    };
  }

  violate(rule: string, what: string): void {
    // One is enough to fail, and a broken build may give thousands.
    if (this.violations.length < 20) this.violations.push({ rule, what });
    this.note(() => `VIOLATION ${rule}: ${what}`);
  }

  note(text: () => string): void {
    if (this.tracing) this.trace.push(`${this.now} ${text()}`);
  }

  /**
   * Goes on until `done`, or `until` at most.
   * @returns whether it is done
   */
  async run(until: number, done: () => boolean): Promise<boolean> {
    await turn();
    while (!done()) {
      const next = this.#next();
      if (next === undefined || next.at > until) {
        await turns(TURNS_BEFORE_JUMP);
        const again = this.#next();
        if (again !== undefined && again.at <= until) continue;
        this.now = until;
        return done();
      }
      if (next.at > this.now + LONG_JUMP) {
        await turns(TURNS_BEFORE_JUMP);
        if (this.#next() !== next) continue;
      }
      pop(this.#heap);
      this.now = next.at;
      this.digest = (Math.imul(this.digest, 31) + Math.round(next.at * 1000) + next.number) >>> 0;
      next.run?.();
      await turn();
    }
    return true;
  }

  #next(): Happening | undefined {
    for (let next = this.#heap[0]; next !== undefined; next = this.#heap[0]) {
      if (next.run !== undefined) return next;
      pop(this.#heap);
    }
    return undefined;
  }
}

/** Lets all microtasks run, and what they cause. */
function turn(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}

async function turns(count: number): Promise<void> {
  for (let done = 0; done < count; done++) await turn();
}

function before(a: Happening, b: Happening): boolean {
  return a.at < b.at || (a.at === b.at && a.number < b.number);
}

function push(heap: Happening[], item: Happening): void {
  let at = heap.length;
  heap.push(item);
  while (at > 0) {
    const parent = (at - 1) >> 1;
    if (!before(item, heap[parent] as Happening)) break;
    heap[at] = heap[parent] as Happening;
    at = parent;
  }
  heap[at] = item;
}

function pop(heap: Happening[]): void {
  const last = heap.pop() as Happening;
  if (heap.length === 0) return;
  let at = 0;
  for (;;) {
    let child = 2 * at + 1;
    if (child >= heap.length) break;
    if (child + 1 < heap.length && before(heap[child + 1] as Happening, heap[child] as Happening)) child += 1;
    if (!before(heap[child] as Happening, last)) break;
    heap[at] = heap[child] as Happening;
    at = child;
  }
  heap[at] = last;
}
