import { messageOf } from "../../errors.ts";
import { hasReference } from "../../secrets.ts";
import type { StoredTask } from "./store.ts";

/**
 * A task from a row of a database.
 * @param id undefined when the row has none
 * @param read gives the task, or throws what is wrong with the row
 */
export function rowOf(origin: string, where: string, id: string | undefined, read: () => unknown): StoredTask {
  const row = { where, origin, secrets: [] };
  try {
    const value = read();
    return { ...row, value, faults: holdsReference(value) ? [REFERENCE_FAULT] : [] };
  } catch (error) {
    return { ...row, value: undefined, id, faults: [messageOf(error)] };
  }
}

const REFERENCE_FAULT =
  "${env:…} and ${file:…} are replaced in settings and task files only: in a database, whoever may write a row could read this machine's secrets";

function holdsReference(value: unknown): boolean {
  if (typeof value === "string") return hasReference(value);
  return typeof value === "object" && value !== null && Object.values(value).some(holdsReference);
}
