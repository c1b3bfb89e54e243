/**
 * Milliseconds that a server asks to wait by its `Retry-After` header, a number of seconds or a date (RFC 9110, 10.2.3); undefined when it
 * does not, or not so that it can be read.
 * @param now milliseconds since the epoch
 */
export function retryAfterOf(header: string | readonly string[] | undefined, now: number): number | undefined {
  if (typeof header !== "string") return undefined;
  const text = header.trim();
  if (/^\d+$/.test(text)) return Number(text) * 1000;
  const date = Date.parse(text);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}
