/** Follows the records of each key through a fault run. */
import type { LedgerEntry, Standing } from "./ledger.ts";
import type { FaultRecord } from "./record.ts";

/** What is known of one record. */
interface Track {
  readonly record: FaultRecord;
  readonly standing: Standing;
  /** How often it is in the input; 0 where the broker does not have it. */
  written: number;
  /** Its place among the records of its key in the input. */
  place: number;
  delivered: number;
  letters: number;
}

/** One key's records by their `seq`, and how far its deliveries have come. */
interface KeyTracks {
  readonly tracks: Track[];
  places: number;
  /** The farthest place that was delivered. */
  farthest: number;
  /** The place delivered last. */
  last: number;
}

type Example = (text: string) => void;

/** The records of a run, by key. */
export class Tracks {
  readonly #keys = new Map<string, KeyTracks>();
  readonly #example: Example;
  readonly #order: "by key" | "none";
  #phantoms = 0;
  #orderBreaks = 0;
  #stepsBack = 0;

  constructor(ledger: readonly LedgerEntry[], input: readonly FaultRecord[], order: "by key" | "none", example: Example) {
    this.#example = example;
    this.#order = order;
    for (const { record, standing } of ledger) {
      const of = this.#keys.get(record.key) ?? { tracks: [], places: 0, farthest: -1, last: -1 };
      this.#keys.set(record.key, of);
      of.tracks[record.seq] = { record, standing, written: 0, place: -1, delivered: 0, letters: 0 };
    }
    for (const record of input) {
      const track = this.#trackOf(record);
      if (track === undefined) continue;
      if (track.written++ === 0) track.place = (this.#keys.get(record.key) as KeyTracks).places++;
    }
  }

  takeDeliveries(delivered: readonly (FaultRecord | undefined)[]): void {
    for (const record of delivered) {
      const track = this.#trackOf(record);
      if (track === undefined || track.record.fate !== "keep") this.#phantom(record);
      else this.#deliver(track);
    }
  }

  /** Dead letters; one may come again, in the place of itself. */
  takeLetters(letters: readonly (FaultRecord | undefined)[]): { letters: number; wrongLetters: number } {
    let [right, wrong] = [0, 0];
    for (const record of letters) {
      const track = this.#trackOf(record);
      if (track?.record.fate === "poison") {
        if (track.letters++ === 0) right++;
        continue;
      }
      wrong++;
      this.#example(`a dead letter that should be none: ${nameOf(record)}`);
    }
    return { letters: right, wrongLetters: wrong };
  }

  /** The records of this run among these that are to pass the filter, as often as they are there. */
  kept(records: readonly FaultRecord[]): readonly FaultRecord[] {
    return records.filter((record) => this.#trackOf(record)?.record.fate === "keep");
  }

  /** How often each is there, by `key#seq`. */
  countsOf(records: readonly (FaultRecord | undefined)[]): Map<string, number> {
    const counts = new Map<string, number>();
    for (const record of records) {
      if (this.#trackOf(record) === undefined) this.#phantom(record);
      else counts.set(`${record?.key}#${record?.seq}`, (counts.get(`${record?.key}#${record?.seq}`) ?? 0) + 1);
    }
    return counts;
  }

  /** @param owed whether each record must be delivered or be a letter, or only those must that are to be letters */
  figures(owed: "all" | "letters") {
    const standings = { attempted: 0, acknowledged: 0, unknown: 0 };
    let [lostByBroker, delivered, lost, repeats] = [0, 0, 0, 0];
    for (const { tracks } of this.#keys.values()) {
      for (const track of tracks) {
        standings.attempted++;
        if (track.standing !== "attempted") standings[track.standing]++;
        if (track.standing === "acknowledged" && track.written === 0) lostByBroker++;
        if (track.delivered > 0) delivered++;
        repeats += Math.max(0, track.delivered - Math.max(1, track.written));
        if (!isLost(track, owed)) continue;
        lost++;
        this.#example(`lost: ${nameOf(track.record)}, ${track.standing}`);
      }
    }
    const counted = { phantoms: this.#phantoms, orderBreaks: this.#orderBreaks, stepsBack: this.#stepsBack };
    return { ...standings, lostByBroker, delivered, lost, repeats, ...counted };
  }

  #deliver(track: Track): void {
    const of = this.#keys.get(track.record.key) as KeyTracks;
    const isFirst = track.delivered++ === 0;
    // What its broker has lost since has no place in the order.
    if (track.written === 0) return;
    if (track.place <= of.last) this.#stepsBack++;
    of.last = track.place;
    if (!isFirst) return;
    if (this.#order === "by key" && track.place < of.farthest) {
      this.#orderBreaks++;
      this.#example(`out of order: ${nameOf(track.record)} came first after later ones of its key`);
    }
    of.farthest = Math.max(of.farthest, track.place);
  }

  #phantom(record: FaultRecord | undefined): void {
    this.#phantoms++;
    this.#example(`should not be there: ${nameOf(record)}`);
  }

  /** Undefined for what was never tried, or is not as it was made. */
  #trackOf(record: FaultRecord | undefined): Track | undefined {
    if (record === undefined) return undefined;
    const track = this.#keys.get(record.key)?.tracks[record.seq];
    return track !== undefined && track.record.at === record.at && track.record.fate === record.fate ? track : undefined;
  }
}

function isLost({ record, written, delivered, letters }: Track, owed: "all" | "letters"): boolean {
  if (written === 0 || record.fate === "filter" || record.fate === "tick") return false;
  if (record.fate === "poison") return letters === 0;
  return owed === "all" && delivered === 0;
}

function nameOf(record: FaultRecord | undefined): string {
  return record === undefined ? "a text that is no record of this run" : `${record.key}#${record.seq} (${record.fate})`;
}
