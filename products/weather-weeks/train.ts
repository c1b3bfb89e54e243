/**
 * Makes climate.json from the shipped data of 2012 to 2014: `node products/weather-weeks/train.ts`
 */
import { readFileSync, writeFileSync } from "node:fs";

import type { Day } from "./day.ts";
import type { Features, Week } from "./features.ts";
import { FEATURES, toWeek } from "./features.ts";
import type { MonthClimate } from "./model.ts";

const WEEK = 7 * 86_400_000;

function weeksOf(file: string): Week[] {
  const weeks = new Map<number, Day[]>();
  for (const line of readFileSync(new URL(`./data/${file}`, import.meta.url), "utf8")
    .trim()
    .split("\n")) {
    const day = JSON.parse(line) as Day;
    if (day.date >= "2015") continue;
    const start = Math.floor(Date.parse(day.date) / WEEK) * WEEK;
    weeks.set(start, [...(weeks.get(start) ?? []), day]);
  }
  return [...weeks].filter(([, days]) => days.length === 7).map(([start, days]) => toWeek(start, days));
}

function climateOf(weeks: readonly Week[]): MonthClimate {
  const features = (value: (name: keyof Features) => number) =>
    Object.fromEntries(FEATURES.map((name) => [name, round(value(name))])) as Features;
  const mean = features((name) => weeks.reduce((total, week) => total + week.features[name], 0) / weeks.length);
  const deviation = features((name) =>
    Math.sqrt(weeks.reduce((total, week) => total + (week.features[name] - mean[name]) ** 2, 0) / (weeks.length - 1)),
  );
  return { mean, deviation };
}

function round(value: number): number {
  return Math.round(value * 1000) / 1000;
}

const climate: Record<string, MonthClimate[]> = {};
for (const file of ["seattle.ndjson", "new-york.ndjson"]) {
  const weeks = weeksOf(file);
  const months = Array.from({ length: 12 }, (_, month) => weeks.filter((week) => Number(week.from.slice(5, 7)) === month + 1));
  climate[weeks[0]?.city ?? ""] = months.map(climateOf);
}
writeFileSync(new URL("./climate.json", import.meta.url), `${JSON.stringify(climate, undefined, 1)}\n`);
