/**
 * The demo of the README: runs the daemon with two workers over the data of the shipped products, then tells what they found.
 */
import { spawn } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

import type { Image, Reading } from "./digits/image.ts";
import type { Judgement } from "./weather-weeks/model.ts";

const root = new URL("../", import.meta.url);
const output = new URL("demo-output/", root);
/** From white to black. */
const SHADES = " .:-=+*#%@";

rmSync(output, { recursive: true, force: true });
const daemon = spawn(process.execPath, ["src/main.ts", "run", "--until-done", "--config", "config/demo.yaml"], {
  cwd: fileURLToPath(root),
  stdio: "inherit",
});
const code = await new Promise<number>((resolve) => {
  daemon.on("exit", (exitCode) => resolve(exitCode ?? 1));
});
if (code === 0) {
  tellWeather();
  tellDigits();
  console.log("\nAll of them are in demo-output/.");
}
process.exitCode = code;

function tellWeather(): void {
  const judged = ["seattle", "new-york"].flatMap((city) => rowsOf<Judgement>(new URL(`${city}.ndjson`, output)));
  const unusual = judged.filter((week) => week.verdict === "unusual").toSorted((a, b) => b.score - a.score);
  console.log(`\n${judged.length} weeks judged, ${unusual.length} of them unusual for their city and month. The most unusual:`);
  for (const week of unusual.slice(0, 5)) {
    console.log(`  ${week.from}  ${week.city.padEnd(9)} ${week.score.toFixed(2)} standard deviations, above all in ${week.mostUnusual}`);
  }
}

interface Picture extends Image {
  /** What it shows. */
  readonly digit: number;
}

function tellDigits(): void {
  const pictures = new Map(rowsOf<Picture>(new URL("products/digits/data/held-out.ndjson", root)).map((picture) => [picture.id, picture]));
  const readings = rowsOf<Reading>(new URL("digits.ndjson", output));
  const isRight = ({ id, digit }: Reading) => pictures.get(id)?.digit === digit;
  const right = readings.filter(isRight);
  const wrong = readings.filter((reading) => !isRight(reading)).toSorted((a, b) => a.probability - b.probability);
  console.log(`\n${readings.length} handwritten digits read, ${right.length} rightly. Two of those, and two of the others:`);
  const shown = [...right.slice(0, 2), ...wrong.slice(0, 2)];
  for (let row = 0; row < 8; row++) console.log(`  ${shown.map(({ id }) => lineOf(pictures.get(id), row)).join("      ")}`);
  console.log(
    `  ${shown.map((reading) => `${reading.digit}, ${(reading.probability * 100).toFixed(0)} % sure`.padEnd(16)).join("      ")}`,
  );
}

/** A row of pixels as text, two characters each. */
function lineOf(picture: Picture | undefined, row: number): string {
  const pixels = picture?.pixels.slice(row * 8, row * 8 + 8) ?? [];
  return pixels.map((pixel) => (SHADES[Math.round((pixel / 16) * (SHADES.length - 1))] ?? " ").repeat(2)).join("");
}

function rowsOf<Row>(file: URL): Row[] {
  return readFileSync(file, "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line) as Row);
}
