import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { promisify } from "node:util";

import { redisServer } from "./services/install.ts";

const run = promisify(execFile);

interface Result {
  readonly stdout: string;
  readonly stderr: string;
  /** How `docker` was called, line by line. */
  readonly docker: readonly string[];
}

/** Asks for the shared Redis in a process of its own, where `docker` is this shell script. */
async function askForRedis(t: TestContext, docker: string, env: NodeJS.ProcessEnv = {}): Promise<Result> {
  const dir = await mkdtemp(join(tmpdir(), "millrace-docker-"));
  t.after(async () => await rm(dir, { recursive: true, force: true }));
  const calls = join(dir, "calls");
  await writeFile(calls, "");
  await writeFile(join(dir, "docker"), `#!/bin/sh\necho "$@" >> ${calls}\n${docker}\n`);
  await chmod(join(dir, "docker"), 0o755);
  const services = new URL("services/index.ts", import.meta.url).href;
  const script = `
    import { sharedServices } from ${JSON.stringify(services)};
    await using services = await sharedServices(["redis"]);
    console.log(services.origins.get("redis"), services.addresses.get("redis"));`;
  const path = `${dir}${delimiter}${process.env["PATH"] ?? ""}`;
  const options = { env: { ...process.env, MILLRACE_TEST_REDIS: "", ...env, PATH: path } };
  const output = await run(process.execPath, ["--input-type=module", "-e", script], options);
  return { ...output, docker: (await readFile(calls, "utf8")).split("\n").filter((line) => line !== "") };
}

test("a service that the environment names is taken, and Docker is not asked", async (t) => {
  const { stdout, docker } = await askForRedis(t, "exit 0", { MILLRACE_TEST_REDIS: "redis://elsewhere:1" });
  assert.equal(stdout, "from MILLRACE_TEST_REDIS redis://elsewhere:1\n");
  assert.deepEqual(docker, []);
});

/** In the place of the container, a Redis. */
const DOCKER = `case "$*" in
  *" up "*) redis-server --bind 127.0.0.1 --port "$REDIS_PORT" --save "" --daemonize yes >/dev/null
    until redis-cli -p "$REDIS_PORT" ping; do sleep 0.05; done >/dev/null 2>&1 ;;
  *" down "*) redis-cli -p "$REDIS_PORT" shutdown nosave ;;
esac`;

test("where a Docker daemon answers, the service is started by Compose, and ended", async (t) => {
  await redisServer();
  const { stdout, docker } = await askForRedis(t, DOCKER);
  assert.match(stdout, /^a container redis:\/\/127\.0\.0\.1:\d+\n$/);
  const [version, info, up = "", down = ""] = docker;
  assert.deepEqual([version, info], ["compose version", "info"]);
  assert.match(up, /^compose -p millrace-test-\S+ -f \S+docker-compose\.yml up --detach --wait redis$/);
  assert.equal(down, up.replace(/up --detach --wait redis$/, "down --volumes --timeout 2"));
});

test("where a container can't be reached, as on another machine's daemon, the service is a local process", async (t) => {
  const { stdout, stderr } = await askForRedis(t, "exit 0");
  assert.match(stdout, /^a local process /);
  assert.match(stderr, /nothing listens on 127\.0\.0\.1/);
});

test("where no Docker daemon answers, the service is a local process", async (t) => {
  const { stdout } = await askForRedis(t, '[ "$1" = info ] && exit 1; exit 0');
  assert.match(stdout, /^a local process redis:\/\/127\.0\.0\.1:\d+\n$/);
});

test("where Compose fails, as without a registry, the service is a local process, with a warning", async (t) => {
  const { stdout, stderr } = await askForRedis(t, 'case "$*" in *" up "*) echo "no such image" >&2; exit 1 ;; esac');
  assert.match(stdout, /^a local process /);
  assert.match(stderr, /docker compose could not start redis[\s\S]*no such image/);
});
