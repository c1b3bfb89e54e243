import { execFile, execFileSync } from "node:child_process";
import { chownSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";

import { postgresBin } from "./install.ts";
import type { Launch, Service } from "./local-process.ts";
import { startLocalProcess } from "./local-process.ts";
import { freePort } from "./ports.ts";
import { exchange } from "./probe.ts";
import { newServiceDir } from "./watchdog.ts";

const run = promisify(execFile);

/** Starts a PostgreSQL of the test's own. `address` is `postgres://postgres@host:port/postgres`; no password is asked. */
export async function startPostgres(): Promise<Service> {
  const bin = await postgresBin();
  const dir = newServiceDir("postgres");
  const port = await freePort();
  const user = unprivilegedUser();
  if (user !== undefined) chownSync(dir, user.uid, user.gid);
  const data = join(dir, "data");
  // No sync: the data need not outlive the machine, only the processes.
  const initial = ["-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"];
  await run(join(bin, "initdb"), initial, { cwd: dir, ...user });
  const address = `127.0.0.1:${port}`;
  return await startLocalProcess({
    name: "PostgreSQL",
    address: `postgres://postgres@${address}/postgres`,
    dir,
    command: join(bin, "postgres"),
    args: ["-D", data, "-p", String(port), "-k", dir, "-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"],
    user,
    // The fast shutdown: clients are cut off, and shared memory is given back.
    stopSignal: "SIGINT",
    ready: async () => acceptsLogins(address),
  });
}

/** PostgreSQL refuses to run as root: then its package's user is taken, else nobody. */
function unprivilegedUser(): Launch["user"] {
  if (process.getuid?.() !== 0) return undefined;
  for (const name of ["postgres", "nobody"]) {
    try {
      const id = (option: string): number =>
        Number(execFileSync("id", [option, name], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
      return { uid: id("-u"), gid: id("-g") };
    } catch {
      // No such user: try the next.
    }
  }
  throw new Error("PostgreSQL can't run as root, and there is neither a user postgres nor nobody: run the tests as another user");
}

/** Sends a StartupMessage; the answer begins with R (authentication) once logins are accepted, with E (error) before. */
async function acceptsLogins(address: string): Promise<boolean> {
  const parameters = Buffer.from("user\0postgres\0database\0postgres\0\0");
  const head = Buffer.alloc(8);
  head.writeInt32BE(8 + parameters.length, 0);
  head.writeInt32BE(196_608, 4);
  const answer = await exchange(address, Buffer.concat([head, parameters]), (received) => received.length > 0);
  return answer.toString("latin1", 0, 1) === "R";
}
