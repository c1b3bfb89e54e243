import { readFileSync } from "node:fs";

import type { Features, Week } from "./features.ts";
import { FEATURES } from "./features.ts";

/** For each city and month what the weeks of 2012 to 2014 were like. Made by train.ts. */
export type Climate = Readonly<Record<string, readonly MonthClimate[]>>;

export interface MonthClimate {
  readonly mean: Features;
  readonly deviation: Features;
}

export interface Judgement {
  readonly city: string;
  readonly from: string;
  readonly days: number;
  /** How far the week is from its month's climate, in standard deviations (root mean square over the features). */
  readonly score: number;
  /** The feature that is farthest from its mean. */
  readonly mostUnusual: string;
  readonly verdict: "usual" | "unusual" | "unknown city";
}

const climate = JSON.parse(readFileSync(new URL("./climate.json", import.meta.url), "utf8")) as Climate;

/** Judges weeks by the climate of their city and month: a batch of rows in, a row out for each. */
export function judge(threshold: number): (weeks: readonly Week[]) => Promise<Judgement[]> {
  return async (weeks) => weeks.map((week) => judgeOne(week, threshold));
}

function judgeOne(week: Week, threshold: number): Judgement {
  const { city, from, days, features } = week;
  const month = climate[city]?.[Number(from.slice(5, 7)) - 1];
  if (month === undefined) return { city, from, days, score: 0, mostUnusual: "", verdict: "unknown city" };
  const distances = FEATURES.map((name) => Math.abs(features[name] - month.mean[name]) / month.deviation[name]);
  const score = Math.sqrt(distances.reduce((total, distance) => total + distance ** 2, 0) / distances.length);
  const mostUnusual = FEATURES[distances.indexOf(Math.max(...distances))] ?? "";
  return { city, from, days, score: Math.round(score * 1000) / 1000, mostUnusual, verdict: score > threshold ? "unusual" : "usual" };
}
