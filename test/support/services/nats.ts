import { writeFile } from "node:fs/promises";
import { join } from "node:path";

import type { Certificates } from "./certificates.ts";
import { makeCertificates } from "./certificates.ts";
import { natsServer } from "./install.ts";
import type { Service } from "./local-process.ts";
import { startLocalProcess } from "./local-process.ts";
import type { Trust } from "./nats-trust.ts";
import { makeTrust } from "./nats-trust.ts";
import { freePort } from "./ports.ts";
import { exchange } from "./probe.ts";
import { newServiceDir } from "./watchdog.ts";

/** What a private nats-server is to be like. JetStream is always on. */
export interface NatsOptions {
  /** Who may connect; default: anyone. */
  readonly auth?: { readonly user: string; readonly password: string } | { readonly token: string } | "creds";
  /** Require TLS; default false. */
  readonly tls?: boolean;
  /** More of its configuration, in its own syntax. */
  readonly config?: string;
}

/** A private nats-server. `address` is `nats://host:port`, without user, password or token; with TLS `tls://`. */
export interface NatsService extends Service {
  /** Where its HTTP monitoring is: `http://host:port`. */
  readonly monitor: string;
  readonly certificates: Certificates | undefined;
  /** The text of a `.creds` file, when `auth` is `"creds"`. */
  readonly credentials: string | undefined;
}

/** Starts a nats-server of the test's own, with JetStream. */
export async function startNats(options: NatsOptions = {}): Promise<NatsService> {
  const command = await natsServer();
  const dir = newServiceDir("nats");
  const certificates = options.tls === true ? await makeCertificates(join(dir, "tls")) : undefined;
  const trust = options.auth === "creds" ? makeTrust() : undefined;
  const [port, monitorPort] = [await freePort(), await freePort()];
  const config = [
    `listen: "127.0.0.1:${port}"`,
    `http: "127.0.0.1:${monitorPort}"`,
    `jetstream { store_dir: ${JSON.stringify(join(dir, "data"))} }`,
    authConfig(options.auth, trust),
    certificates === undefined ? "" : tlsConfig(certificates),
    options.config ?? "",
  ];
  const file = join(dir, "nats.conf");
  await writeFile(file, config.join("\n"));
  const service = await startLocalProcess({
    name: "nats-server",
    address: `${certificates === undefined ? "nats" : "tls"}://127.0.0.1:${port}`,
    dir,
    command,
    args: ["-c", file],
    ready: async () => (await exchange(`127.0.0.1:${port}`, "", (text) => text.includes("\r\n"))).includes('"jetstream":true'),
  });
  return Object.assign(service, { monitor: `http://127.0.0.1:${monitorPort}`, certificates, credentials: trust?.credentials });
}

function authConfig(auth: NatsOptions["auth"], trust: Trust | undefined): string {
  if (trust !== undefined) return trust.config;
  if (auth === undefined || auth === "creds") return "";
  if ("token" in auth) return `authorization { token: ${JSON.stringify(auth.token)} }`;
  return `authorization { user: ${JSON.stringify(auth.user)}, password: ${JSON.stringify(auth.password)} }`;
}

function tlsConfig({ files }: Certificates): string {
  return `tls { cert_file: ${JSON.stringify(files.serverCert)}, key_file: ${JSON.stringify(files.serverKey)} }`;
}
