import type { Day } from "./day.ts";

/** What the model looks at in one week of one city. */
export const FEATURES = ["warmth", "cold", "rain", "wind"] as const;

export type Features = Readonly<Record<(typeof FEATURES)[number], number>>;

export interface Week {
  readonly city: string;
  /** The first day, as in `2014-02-06`. */
  readonly from: string;
  /** How many of its days were observed. */
  readonly days: number;
  readonly features: Features;
}

/** @param start the week's first moment, in milliseconds since the epoch */
export function toWeek(start: number, days: readonly Day[]): Week {
  const mean = (of: (day: Day) => number) => days.reduce((total, day) => total + of(day), 0) / days.length;
  const features = {
    warmth: mean((day) => day.temp_max),
    cold: mean((day) => day.temp_min),
    // A week's rain is most often near nothing and now and then very much: its root is spread more evenly.
    rain: Math.sqrt(mean((day) => day.precipitation)),
    wind: mean((day) => day.wind),
  };
  return { city: days[0]?.city ?? "", from: new Date(start).toISOString().slice(0, 10), days: days.length, features };
}
