import type { AdminSettings } from "../config/settings.ts";

/** Where a running daemon answers; undefined where its port can't be known. */
export function adminUrl({ host, port }: AdminSettings): string | undefined {
  return port === 0 ? undefined : `http://${urlHost(host)}:${port}`;
}

/** A server that listens on all addresses is asked on this machine's own. */
function urlHost(host: string): string {
  if (host === "0.0.0.0") return "127.0.0.1";
  if (host === "::") return "[::1]";
  return host.includes(":") ? `[${host}]` : host;
}
