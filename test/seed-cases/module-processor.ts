/**
 * The function of a case as a module, for threads and processes.
 */
import type { ModuleContext } from "millrace";

import type { Call } from "./calls.ts";
import { processorOf } from "./processor.ts";

/** What it is set up with. */
export interface ModuleProcessorSettings {
  readonly sentence: string | undefined;
  /** Whether each event says how many milliseconds it takes. */
  readonly sleeps: "by event" | "as told";
  /** What goes behind the result, of a context. */
  readonly own: readonly unknown[];
}

/** What it answers: the result, and when it worked on it, by the machine's clock. */
export interface ModuleAnswer extends Omit<Call, "event"> {
  readonly result: unknown;
}

/** Called with each event. Its attempts are its calls: each thread or process would count for itself. */
export default async function processed(event: unknown, { settings, attempt = 1 }: ModuleContext): Promise<ModuleAnswer> {
  const { sentence, sleeps, own } = settings as ModuleProcessorSettings;
  const processor = processorOf(sentence);
  const began = performance.timeOrigin + performance.now();
  await new Promise((resolve) => {
    setTimeout(resolve, sleeps === "by event" ? Number(event) : processor.sleep);
  });
  const answer = processor.answer(event, attempt);
  return { result: own.length === 0 ? answer : [answer, ...own], began, ended: performance.timeOrigin + performance.now() };
}
