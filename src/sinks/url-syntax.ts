/** What is said of a URL whose scheme is right and which can't be parsed all the same. */
export const NO_URL = "is no valid URL: in a user name or password, write characters such as / ? # @ and % as %2F, %3F, %23, %40 and %25";

/** Whether a URL can be parsed; PostgreSQL's may have a user and no host, for a socket. */
export function canParseUrl(url: string): boolean {
  return URL.canParse(url.replace("@/", "@socket/"));
}
