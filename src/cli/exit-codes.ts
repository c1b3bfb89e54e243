/** How commands end; the README lists all codes, and `run` has more of its own. 78 is EX_CONFIG of sysexits.h. */
export const EXIT = {
  /** Done, or drained. */
  done: 0,
  /** Failed while running. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** Settings, products or tasks are wrong. */
  config: 78,
} as const;
