import { isMainThread, threadId } from "node:worker_threads";

import type { Event, ModuleContext } from "millrace";

/** Where it ran. */
function where(): string {
  return isMainThread ? `process ${process.pid}` : `thread ${threadId}`;
}

/** Ten times the value, and where that was found. */
export default async function tenfold(value: number): Promise<{ readonly value: number; readonly where: string }> {
  return { value: value * 10, where: where() };
}

/** What it is told of its call. */
export function told(value: number, { task, partition, step, attempt, settings }: ModuleContext): string {
  return [value, task?.id, partition, step, attempt, JSON.stringify(settings)].join(" ");
}

const attempts = new Map<number, number>();

/** Fails as often as the value says, then gives how often it was called. */
export function unsteady(value: number): number {
  const attempt = (attempts.get(value) ?? 0) + 1;
  attempts.set(value, attempt);
  if (attempt <= value) throw new RangeError(`attempt ${attempt} of ${value}`);
  attempts.delete(value);
  return attempt;
}

/** A slow one for odd values. */
export async function slow(value: number): Promise<number> {
  await new Promise((resolve) => {
    setTimeout(resolve, value % 2 === 0 ? 1 : 500);
  });
  return value;
}

/** Gives the event another value and key. */
export function renamed(event: Event<number>): Event<number> {
  return { ...event, value: event.value + 1, key: `k${event.value}` };
}

/** Ends its thread or process at 13. */
export function deadly(value: number): number {
  if (value === 13) process.exit(1);
  return value;
}

/** Waits until it is given up. */
export function endless(_value: number, { signal }: ModuleContext): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error));
  });
}
