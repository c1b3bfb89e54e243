/** The user of that name on Linux; any number that owns nothing would do. */
const NOBODY = 65_534;

/** Runs something as a user whom files can be forbidden: root may read and write everything. */
export async function asNobody<R>(work: () => Promise<R>): Promise<R> {
  if (process.geteuid?.() !== 0) return await work();
  process.seteuid?.(NOBODY);
  try {
    return await work();
  } finally {
    process.seteuid?.(0);
  }
}
