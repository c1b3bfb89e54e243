/** Judges a fault run: what came out of a pipeline, against what was put in. No I/O. */
import type { LedgerEntry } from "./ledger.ts";
import type { FaultRecord } from "./record.ts";
import { Tracks } from "./tracks.ts";
import { compareWindows, type WindowFigures, type WindowFound } from "./window-checker.ts";

/** What independent readers found. Records are undefined where a text was none of this run, or was damaged. */
export interface Found {
  /** What the input's broker holds, each partition in its order. It also tells what became of sends with an unknown end. */
  readonly input: readonly FaultRecord[];
  /** What a sink without windows holds, each partition in its order. */
  readonly delivered?: readonly (FaultRecord | undefined)[];
  readonly letters?: readonly (FaultRecord | undefined)[];
  /** What came too late for its windows. */
  readonly late?: readonly (FaultRecord | undefined)[];
  /** What a sink behind windows holds; undefined where a text was no result. */
  readonly windows?: readonly (WindowFound | undefined)[];
}

/** What is promised of a run. */
export interface Promises {
  /** Whether records of a key keep their order. */
  readonly order: "by key" | "none";
  /** The length of tumbling windows, in milliseconds, where the pipeline has them. */
  readonly window?: number;
  /** How many records and results may come more often than once; default any number. */
  readonly mostRepeats?: number;
}

/** What became of a run. What must be 0 for it to pass: `lost`, `phantoms`, `orderBreaks`, `wrongLetters`, `windowErrors`. */
export interface Verdict {
  readonly passed: boolean;
  readonly attempted: number;
  readonly acknowledged: number;
  readonly unknown: number;
  /** Acknowledged by the broker and not in its log: its loss, not the pipeline's. */
  readonly lostByBroker: number;
  /** Different records that reached the sink. */
  readonly delivered: number;
  readonly letters: number;
  /** In the input, and neither at the sink nor a dead letter nor to be filtered. */
  readonly lost: number;
  /** At the sink and never written, damaged, or to be dropped by the pipeline. */
  readonly phantoms: number;
  /** Dead letters of records that have no fault. */
  readonly wrongLetters: number;
  /** Deliveries beyond the first of each record in the input. */
  readonly repeats: number;
  /** First deliveries after those of later records of their key. */
  readonly orderBreaks: number;
  /** Times that a key began again with something older. */
  readonly stepsBack: number;
  readonly windows: number;
  /** Windows that are missing, were never to be, or differ from those computed from the input. */
  readonly windowErrors: number;
  /** Further results of windows that were there already. */
  readonly windowRepeats: number;
  /** The first things that are wrong, for people. */
  readonly examples: readonly string[];
}

const MOST_EXAMPLES = 10;

/** Compares what went in with what came out. */
export function check(ledger: readonly LedgerEntry[], found: Found, promises: Promises): Verdict {
  const examples: string[] = [];
  const example = (text: string): void => void (examples.length < MOST_EXAMPLES && examples.push(text));
  const tracks = new Tracks(ledger, found.input, promises.order, example);
  const letters = tracks.takeLetters(found.letters ?? []);
  if (found.delivered !== undefined) tracks.takeDeliveries(found.delivered);
  const windows = windowsOf(found, tracks, promises, example);
  const counted = tracks.figures(found.delivered === undefined ? "letters" : "all");
  const verdict = { ...counted, ...letters, ...windows, examples };
  const wrongs = verdict.lost + verdict.phantoms + verdict.orderBreaks + verdict.wrongLetters + verdict.windowErrors;
  const tooMany = verdict.repeats + verdict.windowRepeats > (promises.mostRepeats ?? Number.POSITIVE_INFINITY);
  if (tooMany) example(`${verdict.repeats + verdict.windowRepeats} repeats, where at most ${promises.mostRepeats} were in flight`);
  return { passed: wrongs === 0 && !tooMany, ...verdict };
}

function windowsOf(found: Found, tracks: Tracks, { window }: Promises, example: (text: string) => void): WindowFigures {
  if (window === undefined) return { windows: 0, windowErrors: 0, windowRepeats: 0 };
  const late = tracks.countsOf(found.late ?? []);
  const inWindows = tracks.kept(found.input).filter((record) => !takeOne(late, `${record.key}#${record.seq}`));
  return compareWindows(inWindows, found.windows ?? [], window, example);
}

function takeOne(counts: Map<string, number>, id: string): boolean {
  const count = counts.get(id) ?? 0;
  if (count > 0) counts.set(id, count - 1);
  return count > 0;
}
