/** The shared services as containers, by the project's docker-compose.yml, where a Docker daemon answers. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import { isFree, freePort } from "./ports.ts";
import { atEnd } from "./watchdog.ts";

const run = promisify(execFile);

const FILE = fileURLToPath(new URL("../../../docker-compose.yml", import.meta.url));
const PULL_AND_START_WITHIN_MS = 600_000;

/** The services of docker-compose.yml that tests use. */
export type SharedName = "kafka" | "nats" | "redis" | "postgres";

/** What was started, and how to end it. Should the process be killed, it is ended as well. */
export interface ComposeServices extends AsyncDisposable {
  readonly addresses: Readonly<Record<SharedName, string>>;
}

let answer: Promise<boolean> | undefined;

/** Whether `docker compose` is installed and its daemon answers; asked once. */
export async function hasDockerCompose(): Promise<boolean> {
  answer ??= (async () => {
    try {
      await run("docker", ["compose", "version"], { timeout: 10_000 });
      await run("docker", ["info"], { timeout: 10_000 });
      return true;
    } catch {
      return false;
    }
  })();
  return await answer;
}

/**
 * Starts these services on free ports, under a project name of their own, and waits until they are healthy. Only the addresses
 * of `names` are worth something.
 *
 * @throws Error when an image can't be had, or a service does not become healthy or can't be reached.
 */
export async function startByCompose(names: readonly SharedName[]): Promise<ComposeServices> {
  const ports = { kafka: await freePort(), nats: await freePort(), redis: await freePort(), postgres: await freePort() };
  const project = `millrace-test-${process.pid}-${ports.kafka}`;
  const env = {
    ...process.env,
    KAFKA_PORT: String(ports.kafka),
    NATS_PORT: String(ports.nats),
    REDIS_PORT: String(ports.redis),
    POSTGRES_PORT: String(ports.postgres),
    POSTGRES_PASSWORD: "millrace",
  };
  const down = ["docker", "compose", "-p", project, "-f", FILE, "down", "--volumes", "--timeout", "2"];
  const cancel = atEnd(down);
  const end = async (): Promise<void> => {
    await run(down[0] ?? "", down.slice(1), { env });
    cancel();
  };
  try {
    const up = ["compose", "-p", project, "-f", FILE, "up", "--detach", "--wait", ...names];
    await run("docker", up, { env, timeout: PULL_AND_START_WITHIN_MS });
    // The daemon may be on another machine, where its ports are out of reach.
    for (const name of names) await expectListener(ports[name]);
  } catch (error) {
    await end().catch(() => {});
    throw error;
  }
  return {
    addresses: {
      // Kafka advertises localhost, so that is what a client must be told, too.
      kafka: `localhost:${ports.kafka}`,
      nats: `nats://127.0.0.1:${ports.nats}`,
      redis: `redis://127.0.0.1:${ports.redis}`,
      postgres: `postgres://millrace:millrace@127.0.0.1:${ports.postgres}/millrace`,
    },
    [Symbol.asyncDispose]: end,
  };
}

async function expectListener(port: number): Promise<void> {
  if (await isFree(port)) throw new Error(`Docker says that the container is healthy, but nothing listens on 127.0.0.1:${port}`);
}
