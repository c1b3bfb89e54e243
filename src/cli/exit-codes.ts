/** How `millrace` ends; the README lists them. 78 is EX_CONFIG of sysexits.h, 124 what timeout(1) says. */
export const EXIT = {
  /** Done, or drained. */
  done: 0,
  /** Failed while running. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
  /** Settings, products or tasks are wrong. */
  config: 78,
  /** The drain took longer than `shutdown.timeout`. */
  drainTimeout: 124,
  /** Ended by a second SIGINT. */
  interrupted: 130,
} as const;
