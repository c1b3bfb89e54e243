import { execFile } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const project = fileURLToPath(new URL("../peers/kafka-streams/", import.meta.url));
const target = fileURLToPath(new URL("../../.cache/bench/kafka-streams/", import.meta.url));

/** Builds the Java program if it is not built yet, or not from its present sources. @returns its class path */
export async function kafkaStreamsClassPath(): Promise<string> {
  const jar = join(target, "peer.jar");
  const lib = join(target, "lib");
  if (!existsSync(jar) || !existsSync(lib) || (await newestSource()) > statSync(jar).mtimeMs) {
    const goals = ["package", "dependency:copy-dependencies", "-DincludeScope=runtime", `-DoutputDirectory=${lib}`];
    await run("mvn", ["-B", "-q", "-f", join(project, "pom.xml"), `-Dpeer.target=${target}`, ...goals]);
  }
  return `${jar}:${join(lib, "*")}`;
}

async function newestSource(): Promise<number> {
  const files = await readdir(project, { recursive: true });
  return Math.max(...files.filter((file) => /\.(?:java|xml)$/.test(file)).map((file) => statSync(join(project, file)).mtimeMs));
}
