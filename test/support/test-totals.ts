/** The closing lines of node's test runner (spec reporter), read and added up where tests run in more than one go. */

const NAMES = ["tests", "suites", "pass", "fail", "cancelled", "skipped", "todo", "duration_ms"] as const;

/** How many of each the runner counted; `duration_ms` in milliseconds. */
export type Totals = Readonly<Record<(typeof NAMES)[number], number>>;

/** Reads the last closing lines in what the runner wrote, coloured or not; all zero when there are none. */
export function readTotals(output: string): Totals {
  // eslint-disable-next-line no-control-regex -- Escape sequences begin with a control character.
  const plain = output.replaceAll(/\u001B\[[0-9;]*m/g, "");
  const lastOf = (name: string): number => {
    const lines = [...plain.matchAll(new RegExp(`^ℹ ${name} ([0-9.]+)$`, "gm"))];
    return Number(lines.at(-1)?.[1] ?? 0);
  };
  return build(lastOf);
}

/** The sum of both. */
export function addTotals(a: Totals, b: Totals): Totals {
  return build((name) => a[name] + b[name]);
}

/** In the form in which the runner writes them. */
export function totalsText(totals: Totals): string {
  return NAMES.map((name) => `ℹ ${name} ${totals[name]}`).join("\n");
}

function build(valueOf: (name: (typeof NAMES)[number]) => number): Totals {
  return Object.fromEntries(NAMES.map((name) => [name, valueOf(name)])) as Totals;
}
