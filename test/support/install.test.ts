import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";
import { promisify } from "node:util";

const run = promisify(execFile);

const INSTALL = new URL("services/install.ts", import.meta.url).href;

/** Asks for redis-server where the PATH has nothing but an apt-get that is this shell script, as this user; 0 is root. */
async function askForRedis(t: TestContext, aptGet: string, user = 0): Promise<{ found: string; calls: string; dir: string }> {
  const dir = await mkdtemp(join(tmpdir(), "millrace-install-"));
  t.after(async () => await rm(dir, { recursive: true, force: true }));
  await chmod(dir, 0o755);
  await writeFile(join(dir, "apt-get"), `#!/bin/sh\necho "$DEBIAN_FRONTEND $@" >> ${dir}/calls\n${aptGet}\n`);
  await chmod(join(dir, "apt-get"), 0o755);
  const script = `
    process.getuid = () => ${user};
    const { redisServer } = await import(${JSON.stringify(INSTALL)});
    console.log(await redisServer().catch((error) => error.message));`;
  const env = { ...process.env, PATH: dir };
  const { stdout } = await run(process.execPath, ["--input-type=module", "-e", script], { env });
  const calls = await readFile(join(dir, "calls"), "utf8").catch(() => "");
  return { found: stdout.trim(), calls, dir };
}

test("a program that is missing is installed by apt, without questions", async (t) => {
  const { found, calls, dir } = await askForRedis(t, `case "$*" in *install*) : > "\${0%/*}/redis-server" ;; esac`);
  assert.equal(found, join(dir, "redis-server"));
  const [update = "", install = ""] = calls.split("\n");
  assert.match(update, /^noninteractive .*-qq update$/);
  assert.match(install, /^noninteractive .*-qq install -y --no-install-recommends redis-server$/);
});

test("when apt can't install it, the message says what to do", async (t) => {
  const { found } = await askForRedis(t, "exit 100");
  assert.match(found, /^redis-server is not installed, and apt-get install redis-server failed: install it by hand/);
  assert.match(found, /or name a running one in MILLRACE_TEST_REDIS$/);
});

test("who is not root is told what to install", async (t) => {
  const { found, calls } = await askForRedis(t, "exit 0", 1000);
  assert.match(found, /^redis-server is not installed: install it \(Debian and Ubuntu: apt-get install redis-server\)/);
  assert.equal(calls, "");
});

test("where there is no Python, or one without pip, the message says what MLServer needs", async (t) => {
  const dir = await mkdtemp(join(tmpdir(), "millrace-install-"));
  t.after(async () => await rm(dir, { recursive: true, force: true }));
  const ask = async (): Promise<string> => {
    const script = `
      const { mlserverPython } = await import(${JSON.stringify(INSTALL)});
      console.log(await mlserverPython().catch((error) => error.message));`;
    const env = { ...process.env, PATH: dir, MILLRACE_TEST_CACHE: join(dir, "cache") };
    return (await run(process.execPath, ["--input-type=module", "-e", script], { env })).stdout.trim();
  };
  assert.match(await ask(), /^python3 is not in the PATH: install Python 3\.11 or 3\.12, with venv and pip/);
  await writeFile(join(dir, "python3"), '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.99 || exit 1\n');
  await chmod(join(dir, "python3"), 0o755);
  assert.equal(await ask(), "MLServer can't be installed by Python 3.99: it needs 3.11 or 3.12, with venv and pip 22.3 or later");
});
