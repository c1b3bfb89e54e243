/** A case from a system that Millrace takes after: what it was given, and what it was seen to do. */
export interface SeedCase {
  readonly id: string;
  readonly system: string;
  /** What it is about; the rest goes by it. */
  readonly feature: string;
  readonly config: Fields;
  readonly input: unknown;
  readonly expected: unknown;
  /** What is right, where the system is wrong. */
  readonly expected_reference?: unknown;
  readonly note?: string;
}

export type Fields = Readonly<Record<string, unknown>>;

/** The runner has no answer to such a case: that counts as failed. */
export class UnknownCase extends Error {
  override readonly name = "UnknownCase";
}

/** A field of something that may be no object. */
export function field(of: unknown, name: string): unknown {
  return isFields(of) && Object.hasOwn(of, name) ? of[name] : undefined;
}

export function isFields(value: unknown): value is Fields {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** A number of the config; undefined where it is null or not there. */
export function numberOf(config: Fields, name: string): number | undefined {
  const value = config[name];
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number") return value;
  throw new UnknownCase(`${name} is ${JSON.stringify(value)}, and should be a number`);
}

/** Whether the case says that its system does wrong. */
export function marksFault({ note = "", feature, expected_reference: reference }: SeedCase): boolean {
  return reference !== undefined || /\b(?:BUG|QUIRK|HAZARD|TRAP)\b|\(mis\)|misattribut|lying|corrupt|wrong/i.test(`${note} ${feature}`);
}

/** What is right: where both have a field, the reference has it. */
export function targetOf({ expected, expected_reference: reference }: SeedCase): unknown {
  if (reference === undefined) return expected;
  return isFields(expected) && isFields(reference) ? { ...expected, ...reference } : reference;
}

/** The events of the case's input, however it gives them. */
export function eventsOf(input: unknown): readonly unknown[] {
  if (Array.isArray(input)) return input as readonly unknown[];
  for (const name of ["events", "bodies", "values"]) {
    const events = field(input, name);
    if (Array.isArray(events)) return events as readonly unknown[];
  }
  for (const name of ["event", "body"]) {
    const event = field(input, name);
    if (event !== undefined) return [event];
  }
  throw new UnknownCase(`no events in the input ${JSON.stringify(input)}`);
}
