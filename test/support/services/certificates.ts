import { execFile } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

import { openssl } from "./install.ts";

const run = promisify(execFile);

/** A certificate authority made for one test, and what it signed. PEM texts; the certificates are valid for two days. */
export interface Certificates {
  /** What a client must trust. */
  readonly ca: string;
  /** For a client that must show who it is (CN=client). */
  readonly cert: string;
  readonly key: string;
  /** Files of the same, and of the server (CN=server; localhost and 127.0.0.1). Keys are in PKCS #8. */
  readonly files: {
    readonly ca: string;
    readonly cert: string;
    readonly key: string;
    readonly serverCert: string;
    readonly serverKey: string;
  };
}

/** Makes an authority, a server's and a client's certificate in `dir`. */
export async function makeCertificates(dir: string): Promise<Certificates> {
  await mkdir(dir, { recursive: true });
  const file = (name: string): string => join(dir, name);
  const program = await openssl();
  const authority = ["-subj", "/CN=Millrace test authority", "-addext", "basicConstraints=critical,CA:TRUE"];
  await run(program, ["req", "-x509", "-days", "2", ...newKey(file("ca.key")), ...authority, "-out", file("ca.pem")]);
  await Promise.all([
    sign(program, dir, "server", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
    sign(program, dir, "client", "extendedKeyUsage=clientAuth"),
  ]);
  return {
    ca: await readFile(file("ca.pem"), "utf8"),
    cert: await readFile(file("client.pem"), "utf8"),
    key: await readFile(file("client.key"), "utf8"),
    files: {
      ca: file("ca.pem"),
      cert: file("client.pem"),
      key: file("client.key"),
      serverCert: file("server.pem"),
      serverKey: file("server.key"),
    },
  };
}

async function sign(program: string, dir: string, name: string, extension: string): Promise<void> {
  const file = (ending: string): string => join(dir, `${name}.${ending}`);
  await run(program, ["req", "-new", ...newKey(file("key")), "-subj", `/CN=${name}`, "-out", file("csr")]);
  await writeFile(file("ext"), `${extension}\n`);
  const by = ["-CA", join(dir, "ca.pem"), "-CAkey", join(dir, "ca.key"), "-set_serial", name === "server" ? "2" : "3"];
  await run(program, ["x509", "-req", "-days", "2", "-in", file("csr"), ...by, "-extfile", file("ext"), "-out", file("pem")]);
}

function newKey(file: string): readonly string[] {
  return ["-newkey", "rsa:2048", "-nodes", "-keyout", file];
}
