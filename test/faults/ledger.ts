/** What was written into a pipeline's input, and what its broker said to it. */
import type { FaultRecord } from "./record.ts";

/**
 * `acknowledged`: the broker has it, and the pipeline owes it. `unknown`: the send failed, and the broker may have it all the
 * same. `attempted`: the answer is still to come.
 */
export type Standing = "attempted" | "acknowledged" | "unknown";

/** One line of the ledger. */
export interface LedgerEntry {
  readonly record: FaultRecord;
  readonly standing: Standing;
}

/** How many records stand where. */
export interface LedgerFigures {
  readonly attempted: number;
  readonly acknowledged: number;
  readonly unknown: number;
}

/** Keeps every record that was to be written, in the order in which they were tried. */
export class Ledger {
  readonly #records: FaultRecord[] = [];
  readonly #standings: Standing[] = [];

  /** Notes records before they are sent. Gives what to call with the answer. */
  attempt(records: readonly FaultRecord[]): (standing: Exclude<Standing, "attempted">) => void {
    const first = this.#records.length;
    for (const record of records) {
      this.#records.push(record);
      this.#standings.push("attempted");
    }
    return (standing) => void this.#standings.fill(standing, first, first + records.length);
  }

  entries(): readonly LedgerEntry[] {
    return this.#records.map((record, index) => ({ record, standing: this.#standings[index] as Standing }));
  }

  figures(): LedgerFigures {
    const count = (standing: Standing) => this.#standings.filter((one) => one === standing).length;
    return { attempted: this.#records.length, acknowledged: count("acknowledged"), unknown: count("unknown") };
  }
}
