/**
 * The demo of the README: runs the daemon with two workers over the shipped data, then tells what was found.
 */
import { spawn } from "node:child_process";
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

import type { Judgement } from "./model.ts";

const root = new URL("../../", import.meta.url);
const output = new URL("demo-output/", root);

rmSync(output, { recursive: true, force: true });
const daemon = spawn(process.execPath, ["src/main.ts", "run", "--until-done", "--config", "config/demo.yaml"], {
  cwd: fileURLToPath(root),
  stdio: "inherit",
});
const code = await new Promise<number>((resolve) => {
  daemon.on("exit", (exitCode) => resolve(exitCode ?? 1));
});
if (code === 0) tell();
process.exitCode = code;

function tell(): void {
  const weeks = readdirSync(output).flatMap((file) => readFileSync(new URL(file, output), "utf8").trim().split("\n"));
  const judged = weeks.map((line) => JSON.parse(line) as Judgement);
  const unusual = judged.filter((week) => week.verdict === "unusual").toSorted((a, b) => b.score - a.score);
  console.log(`\n${judged.length} weeks judged, ${unusual.length} of them unusual for their city and month. The most unusual:`);
  for (const week of unusual.slice(0, 5)) {
    console.log(`  ${week.from}  ${week.city.padEnd(9)} ${week.score.toFixed(2)} standard deviations, above all in ${week.mostUnusual}`);
  }
  console.log("\nAll of them are in demo-output/.");
}
