import { createHash } from "node:crypto";

import { nkeys } from "@nats-io/transport-node";

/** An operator with one account and one user in it, made for one test. */
export interface Trust {
  /** What nats-server needs to know of it, in the syntax of its configuration. */
  readonly config: string;
  /** The text of the user's `.creds` file. */
  readonly credentials: string;
}

type KeyPair = ReturnType<typeof nkeys.createOperator>;

const UNLIMITED = {
  subs: -1,
  data: -1,
  payload: -1,
  imports: -1,
  exports: -1,
  wildcards: true,
  conn: -1,
  leaf: -1,
};

/** Makes keys and signed claims (JWT, version 2, as nats-server's decentralised authentication has them). */
export function makeTrust(): Trust {
  const operator = nkeys.createOperator();
  const system = nkeys.createAccount();
  const account = nkeys.createAccount();
  const user = nkeys.createUser();
  const jetStream = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const tokens = {
    operator: sign(operator, operator, { type: "operator", system_account: system.getPublicKey() }),
    system: sign(system, operator, { type: "account", limits: UNLIMITED }),
    account: sign(account, operator, { type: "account", limits: { ...UNLIMITED, ...jetStream } }),
    user: sign(user, account, { type: "user", subs: -1, data: -1, payload: -1, pub: {}, sub: {} }),
  };
  const preload = `${system.getPublicKey()}: ${tokens.system}, ${account.getPublicKey()}: ${tokens.account}`;
  return {
    config: `operator: ${tokens.operator}\nsystem_account: ${system.getPublicKey()}\nresolver: MEMORY\nresolver_preload: { ${preload} }`,
    credentials: `${framed("NATS USER JWT", tokens.user)}\n${framed("USER NKEY SEED", new TextDecoder().decode(user.getSeed()))}`,
  };
}

function sign(subject: KeyPair, issuer: KeyPair, nats: object): string {
  const name = subject.getPublicKey();
  const claims = { iat: Math.floor(Date.now() / 1000), iss: issuer.getPublicKey(), name, sub: name, nats: { ...nats, version: 2 } };
  const jti = createHash("sha256").update(JSON.stringify(claims)).digest("hex");
  const body = `${encoded({ typ: "JWT", alg: "ed25519-nkey" })}.${encoded({ jti, ...claims })}`;
  return `${body}.${Buffer.from(issuer.sign(Buffer.from(body))).toString("base64url")}`;
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}

function framed(title: string, text: string): string {
  return `-----BEGIN ${title}-----\n${text}\n------END ${title}------\n`;
}
