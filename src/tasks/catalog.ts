import { CatalogChild } from "./catalog-child.ts";
import type { NoAnswer } from "./catalog-child.ts";
import type { Answer, Question } from "./catalog-messages.ts";

/** How long product code may take for one question, and so on. All in milliseconds. */
export interface CatalogPatience {
  /** For the import of a product with its `tasks()`, and for building a plan. */
  readonly answer: number;
  /**
   * In a process where other product code has run, or while other questions wait: then the question is put again, in a
   * process of its own, after these.
   */
  readonly first: number;
  /** A question that takes longer no longer holds up the others: they go on in one more process. */
  readonly hold: number;
}

export const DEFAULT_PATIENCE: CatalogPatience = { answer: 10_000, first: 3_000, hold: 1_000 };

/** At most so many processes at a time. */
const MOST_CHILDREN = 4;

interface Waiting {
  readonly index: number;
  readonly question: Question;
}

/**
 * Has product code run elsewhere: in child processes that it may hang or end. Usually one child answers all questions. One
 * that takes long is left alone with its question while another goes on with the rest; when a child dies or hangs, the
 * question is put once more, after all others, to a child in which no other product has run, so that nobody is blamed for
 * another's doing and many that hang do not hold up the rest.
 *
 * Each catalog has processes of its own, so it sees the products as they are on disk now. Dispose of it when the questions
 * are answered.
 */
export class Catalog implements AsyncDisposable {
  readonly #patience: CatalogPatience;
  readonly #idle: CatalogChild[] = [];
  readonly #children = new Set<Promise<CatalogChild>>();
  readonly #signal: AbortSignal;

  /** @param signal ends the processes, and every question with its reason */
  constructor(signal: AbortSignal, patience: CatalogPatience = DEFAULT_PATIENCE) {
    this.#signal = signal;
    this.#patience = patience;
  }

  /**
   * Asks all questions; the answers are in their order.
   * @param told hears each answer when it is given
   */
  async ask(
    questions: readonly Question[],
    told: (index: number, answer: Answer | NoAnswer) => void = () => undefined,
  ): Promise<readonly (Answer | NoAnswer)[]> {
    const answers: (Answer | NoAnswer)[] = [];
    const waiting = questions.map((question, index): Waiting => ({ index, question })).toReversed();
    const doubtful: Waiting[] = [];
    const lanes: Promise<void>[] = [];
    let answeredBefore = -1;
    let answered = 0;
    const take = ({ index }: Waiting, answer: Answer | NoAnswer) => {
      answers[index] = answer;
      answered++;
      told(index, answer);
    };
    const work = async () => {
      for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
        const answer = await this.#answer(next.question, waiting.length > 0);
        if (answer === undefined) doubtful.push(next);
        else take(next, answer);
      }
      for (let next = doubtful.shift(); next !== undefined; next = doubtful.shift()) {
        take(next, await this.#askChild(await this.#start(), next.question, this.#patience.answer));
      }
    };
    const failed = Promise.withResolvers<never>();
    failed.promise.catch(() => undefined);
    const addLane = () => lanes.push(work().catch(failed.reject));
    const unstick = setInterval(() => {
      if (waiting.length + doubtful.length > 0 && answered === answeredBefore && lanes.length < MOST_CHILDREN) addLane();
      answeredBefore = answered;
    }, this.#patience.hold);
    const abort = () => failed.reject(this.#signal.reason);
    this.#signal.addEventListener("abort", abort, { once: true });
    try {
      this.#signal.throwIfAborted();
      addLane();
      // Lanes are added while the first ones work.
      for (let lane = 0; lane < lanes.length; lane++) await Promise.race([lanes[lane], failed.promise]);
      return answers;
    } finally {
      waiting.length = 0;
      doubtful.length = 0;
      clearInterval(unstick);
      this.#signal.removeEventListener("abort", abort);
    }
  }

  /** @returns undefined when the question is to be put again, to a child of its own */
  async #answer(question: Question, othersWait: boolean): Promise<Answer | NoAnswer | undefined> {
    const { answer, first } = this.#patience;
    const child = this.#idle.pop() ?? (await this.#start());
    const alone = child.fresh;
    const given = await this.#askChild(child, question, alone && !othersWait ? answer : first);
    if (given.type !== "none") return given;
    return alone && !(othersWait && child.timedOut) ? given : undefined;
  }

  async #askChild(child: CatalogChild, question: Question, timeout: number): Promise<Answer | NoAnswer> {
    const given = await child.ask(question, timeout);
    if (given.type !== "none") this.#idle.push(child);
    return given;
  }

  async #start(): Promise<CatalogChild> {
    this.#signal.throwIfAborted();
    const starting = CatalogChild.start();
    this.#children.add(starting);
    return await starting;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#idle.length = 0;
    const children = await Promise.allSettled(this.#children);
    const started = children.flatMap((child) => (child.status === "fulfilled" ? [child.value] : []));
    await Promise.all(started.map((child) => child[Symbol.asyncDispose]()));
  }
}
