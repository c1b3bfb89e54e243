import { execFile } from "node:child_process";
import { existsSync, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);
const peers = fileURLToPath(new URL("../peers/", import.meta.url));
const targets = fileURLToPath(new URL("../../.cache/bench/", import.meta.url));

/**
 * Builds a Java program if it is not built yet, or not from its present sources.
 * @param name of its folder in bench/peers
 * @returns its class path
 */
export async function javaClassPath(name: string): Promise<string> {
  const project = join(peers, name);
  const target = join(targets, name);
  const jar = join(target, "peer.jar");
  const lib = join(target, "lib");
  if (!existsSync(jar) || !existsSync(lib) || (await newestSource(project)) > statSync(jar).mtimeMs) {
    const goals = ["package", "dependency:copy-dependencies", "-DincludeScope=runtime", `-DoutputDirectory=${lib}`];
    await run("mvn", ["-B", "-q", "-f", join(project, "pom.xml"), `-Dpeer.target=${target}`, ...goals]);
  }
  return `${jar}:${join(lib, "*")}`;
}

async function newestSource(project: string): Promise<number> {
  const files = await readdir(project, { recursive: true });
  return Math.max(...files.filter((file) => /\.(?:java|xml)$/.test(file)).map((file) => statSync(join(project, file)).mtimeMs));
}
