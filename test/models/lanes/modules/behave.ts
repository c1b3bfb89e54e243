import { appendFileSync, existsSync } from "node:fs";
import { isMainThread, threadId } from "node:worker_threads";

/** Does what it is told, also what no model should do. */
import type { Logger } from "millrace";
import { DataError, defineModel, failed, InfrastructureError, RetryableError } from "millrace";

/** What a value can tell it to do. */
export type Told =
  | { readonly do: "echo"; readonly value: unknown }
  | { readonly do: "where" }
  | { readonly do: "exit"; readonly code: number }
  | { readonly do: "throw"; readonly what: "type" | "data" | "retryable" | "own" | "text" }
  | { readonly do: "throw-later" }
  | { readonly do: "reject-later" }
  | { readonly do: "loop" }
  | { readonly do: "never" }
  | { readonly do: "leak" }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "wait-for-abort"; readonly tell: string }
  | { readonly do: "return-a-function" }
  | { readonly do: "note"; readonly file: string }
  | { readonly do: "wait-for-file"; readonly file: string }
  | { readonly do: "log"; readonly message: string }
  | { readonly do: "busy"; readonly ms: number };

class LateParcelError extends RangeError {
  readonly code = "LATE";
}

/** Where this module runs, so that it can be told apart after a restart. */
function where(): string {
  return `${process.pid}/${isMainThread ? "main" : threadId}`;
}

function throwIt(what: Extract<Told, { do: "throw" }>["what"]): never {
  switch (what) {
    case "type":
      throw new TypeError("not that type");
    case "data":
      throw new DataError("a step", undefined, new Error("bad value"));
    case "retryable":
      throw new RetryableError("come back later", { retryAfter: 1234 });
    case "own":
      throw new LateParcelError("too late", { cause: new InfrastructureError("no van") });
    case "text":
      // What products do.
      // oxlint-disable-next-line no-throw-literal
      throw "just text";
  }
}

const kept: unknown[] = [];

/** Fills the JavaScript heap, until someone ends it. */
function leak(): Promise<never> {
  return new Promise(() => {
    const more = () => {
      kept.push(Array.from({ length: 200_000 }, (_, index) => ({ index })));
      setImmediate(more);
    };
    more();
  });
}

function busy(ms: number): void {
  const end = performance.now() + ms;
  while (performance.now() < end);
}

async function waitForFile(file: string): Promise<string> {
  while (!existsSync(file)) await new Promise((resolve) => setTimeout(resolve, 5));
  return file;
}

export function behave(told: Told, context: { readonly signal: AbortSignal; readonly logger?: Logger }): unknown {
  switch (told.do) {
    case "echo":
      return told.value;
    case "where":
      return where();
    case "exit":
      // oxlint-disable-next-line unicorn/no-process-exit
      return process.exit(told.code);
    case "throw":
      return throwIt(told.what);
    case "throw-later":
      setTimeout(() => throwIt("type"), 1);
      return new Promise(() => undefined);
    case "reject-later":
      void Promise.reject(new TypeError("nobody waits for this"));
      return new Promise(() => undefined);
    case "loop":
      for (;;) busy(1000);
    case "never":
      return new Promise(() => undefined);
    case "leak":
      return leak();
    case "wait":
      return new Promise((resolve) => {
        setTimeout(resolve, told.ms, told.ms);
      });
    case "wait-for-abort":
      return new Promise((resolve) => {
        context.signal.addEventListener("abort", () => {
          appendFileSync(told.tell, "aborted\n");
          resolve("aborted");
        });
      });
    case "return-a-function":
      return () => "a function";
    case "note":
      appendFileSync(told.file, `${where()}\n`);
      return where();
    case "wait-for-file":
      return waitForFile(told.file);
    case "log":
      context.logger?.child({ of: "behave" }).info({ n: 1 }, told.message);
      return told.message;
    case "busy":
      busy(told.ms);
      return told.ms;
  }
}

/** The same for each input; what throws fails the whole call, but for what is told with `failed`. */
export default defineModel<Told, unknown>({
  name: "behave",
  version: "1",
  load: ({ settings }) => {
    const { load, unloaded: file } = (settings ?? {}) as { readonly load?: Told; readonly unloaded?: string };
    unloaded = file;
    return load === undefined ? undefined : behave(load, { signal: new AbortController().signal });
  },
  predict: (inputs, context) => {
    const [first] = inputs;
    // A promise of what one input comes to, where there is only one.
    if (inputs.length === 1 && first?.do !== "throw") return Promise.resolve(behave(first as Told, context)).then((output) => [output]);
    return inputs.map((input) => (input.do === "throw" ? failed(new InfrastructureError(`row ${input.what}`)) : behave(input, context)));
  },
  unload: () => {
    if (unloaded !== undefined) appendFileSync(unloaded, "unloaded\n");
  },
});

let unloaded: string | undefined;
