/** What can be said about stored tasks without running any product code. */
import { z } from "zod";

import { redact, urlPasswords } from "../secrets.ts";
import { describeIssues } from "./schema-issues.ts";
import type { StoredTask } from "./stores/store.ts";
import type { InvalidTask } from "./task.ts";
import { MOST_INSTANCES, TASK_ID } from "./task.ts";

/** A stored task with the shape of a task; its product is not looked at yet. */
export interface Candidate {
  readonly id: string;
  readonly product: string;
  readonly instances: number;
  readonly enabled: boolean;
  readonly config: unknown;
  readonly secrets: readonly string[];
  readonly where: string;
  readonly origin: string;
}

const ID_RULE = 'use letters, digits, ".", "_" and "-", beginning with a letter or digit, at most 128';
const INSTANCES_RULE = `must be a whole number from 1 to ${MOST_INSTANCES}`;

const taskShape = z.strictObject({
  id: z.string().regex(TASK_ID, `no valid id for a task: ${ID_RULE}`),
  product: z.string(),
  instances: z.int(INSTANCES_RULE).min(1, INSTANCES_RULE).max(MOST_INSTANCES, INSTANCES_RULE).default(1),
  enabled: z.boolean().default(true),
  config: z.unknown().optional(),
});
const taskSchema: unknown = z.toJSONSchema(taskShape, { io: "input", unrepresentable: "any" });

/** Checks the shape of a stored task. */
export function checkShape(stored: StoredTask): Candidate | InvalidTask {
  const { where, origin, value } = stored;
  const secrets = [...new Set([...stored.secrets, ...urlPasswords(value)])];
  const parsed = taskShape.safeParse(value);
  const reasons = [...stored.faults];
  if (!parsed.success && value !== undefined) reasons.push(...describeIssues(parsed.error.issues, "", taskSchema));
  const forbidden = forbiddenKey(value);
  if (forbidden !== undefined) reasons.push(`${forbidden}: this key is not allowed`);
  if (parsed.success && reasons.length === 0) return { ...parsed.data, config: parsed.data.config, secrets, where, origin };
  const reason = redact(reasons.join("; "), secrets);
  return { id: textOf(value, "id") ?? stored.id ?? where, product: textOf(value, "product"), where, reason, replaced: false };
}

function textOf(value: unknown, key: string): string | undefined {
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) return undefined;
  const text: unknown = Reflect.get(value, key);
  return typeof text === "string" && text !== "" ? text : undefined;
}

/** JSON and YAML can make a key that would change a prototype as soon as somebody copies the object. */
function forbiddenKey(value: unknown): string | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  for (const [key, item] of Object.entries(value)) {
    if (key === "__proto__") return key;
    const within = forbiddenKey(item);
    if (within !== undefined) return `${key}.${within}`;
  }
  return undefined;
}

export function isInvalid(checked: object): checked is InvalidTask {
  return "reason" in checked;
}

/** Tasks with each id once, and those that came after with the same id. */
export interface Unique {
  readonly first: readonly Candidate[];
  readonly repeated: readonly { readonly candidate: Candidate; readonly first: Candidate }[];
}

/**
 * Of several tasks with one id the first one counts, except that a task that is already known keeps its id: what is added
 * to a store must not harm what runs.
 * @param holder the origin of the task that has the id so far
 */
export function uniqueById(candidates: readonly Candidate[], holder: (id: string) => string | undefined): Unique {
  const chosen = new Map<string, Candidate>();
  for (const candidate of candidates) {
    const known = chosen.get(candidate.id);
    const keeps = holder(candidate.id);
    if (known === undefined || (candidate.origin === keeps && known.origin !== keeps)) chosen.set(candidate.id, candidate);
  }
  const repeated = candidates.flatMap((candidate) => {
    const first = chosen.get(candidate.id);
    return first === undefined || first === candidate ? [] : [{ candidate, first }];
  });
  return { first: [...chosen.values()], repeated };
}
