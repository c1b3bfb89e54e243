import { isIP } from "node:net";

/** One server as the settings name it, taken apart. Holds secrets, except `shown`. */
export interface NatsAddress {
  /** `host:port`, for the client. */
  readonly server: string;
  /** What people may see: the address without user and password. */
  readonly shown: string;
  /** A name that must resolve before connecting; undefined for an IP address. */
  readonly host: string | undefined;
  readonly tls: boolean;
  readonly user: string | undefined;
  readonly password: string | undefined;
  readonly token: string | undefined;
}

const DEFAULT_PORT = 4222;

/**
 * Takes apart `nats://[user:password@|token@]host[:port]`, `tls://…` or `host[:port]`. The client itself would take
 * digits in a password for the port.
 */
export function parseAddress(text: string): NatsAddress {
  const [, scheme = "nats", rest = ""] = /^(?:([a-z]+):\/\/)?(.*?)\/?$/i.exec(text.trim()) ?? [];
  const at = rest.lastIndexOf("@");
  const place = rest.slice(at + 1);
  const [, host = place, port] = /^(.*?)(?::(\d+))?$/.exec(bareIpv6(place) ? `[${place}]` : place) ?? [];
  const server = `${host}:${port ?? DEFAULT_PORT}`;
  const bare = host.replace(/^\[(.*)\]$/, "$1");
  return {
    server,
    shown: `${scheme}://${server}`,
    host: isIP(bare) === 0 ? bare : undefined,
    tls: scheme === "tls",
    ...account(at < 0 ? undefined : rest.slice(0, at)),
  };
}

function bareIpv6(place: string): boolean {
  return isIP(place) === 6;
}

function account(text: string | undefined): Pick<NatsAddress, "user" | "password" | "token"> {
  if (text === undefined) return { user: undefined, password: undefined, token: undefined };
  const colon = text.indexOf(":");
  if (colon < 0) return { user: undefined, password: undefined, token: decoded(text) };
  return { user: decoded(text.slice(0, colon)), password: decoded(text.slice(colon + 1)), token: undefined };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
