/**
 * What is passed on at the end of a turn of the event loop, together: several replies that came in one turn then go through the steps
 * behind them as one batch, where each for itself would cost as much as all of them.
 */
let due: (() => void)[] = [];

/** Calls it when everything that is there now was read, in the order in which this was called. It must not throw. */
export function atTurnEnd(callback: () => void): void {
  if (due.push(callback) === 1) setImmediate(callAll);
}

function callAll(): void {
  const callbacks = due;
  due = [];
  for (const callback of callbacks) callback();
}
