/** What became of the copies of a model, in order. */
export const ledger: string[] = [];
