import type { ChildProcess } from "node:child_process";
import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";

import { InfrastructureError } from "../errors.ts";
import { environmentWithoutInspector } from "../inspector-flags.ts";
import type { Answer, FromCatalog, Question } from "./catalog-messages.ts";

/** How a question ended that has no answer. */
export interface NoAnswer {
  readonly type: "none";
  /** What the product did: `called process.exit(3)`, `did not finish in 10 s`. */
  readonly reason: string;
}

/** How long the process may take to start. Milliseconds. */
const START_TIMEOUT = 30_000;

/** So much of what the process prints is kept, to tell why it did not start. What products print is not shown: it may be secret. */
const TAIL_LENGTH = 4_000;

const program = fileURLToPath(new URL(`./catalog-process.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url));

/** One process for product code. It is asked one question at a time; after one without an answer it is gone. */
export class CatalogChild implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #gone: Promise<void>;
  #asked = 0;
  #timedOut = false;
  #printed = "";
  #uncaught: string | undefined;
  /** Hears what comes from the process; a reason when nothing more will. */
  #hear: (heard: FromCatalog | string) => void = () => undefined;

  private constructor() {
    // A debugger's options must not be inherited: two processes can't listen on one port, and nobody would let this one go on.
    const execArgv = ["--max-old-space-size=1024"];
    this.#process = fork(program, [], {
      execArgv,
      env: environmentWithoutInspector(),
      serialization: "advanced",
      stdio: ["ignore", "pipe", "pipe", "ipc"],
    });
    for (const output of [this.#process.stdout, this.#process.stderr]) {
      output?.setEncoding("utf8").on("data", (text: string) => (this.#printed = (this.#printed + text).slice(-TAIL_LENGTH)));
    }
    this.#process.on("message", (message: FromCatalog) => this.#hear(message));
    this.#process.on("error", (error) => this.#hear(`could not be started: ${error.message}`));
    this.#gone = new Promise((resolve) => {
      this.#process.on("exit", (code, signal) => {
        this.#hear(this.#uncaught ?? exitReason(code, signal));
        resolve();
      });
    });
    this.#process.on("disconnect", () => this.#process.kill("SIGKILL"));
  }

  /** @throws {InfrastructureError} when the process does not start */
  static async start(): Promise<CatalogChild> {
    const child = new CatalogChild();
    const ready = await child.#next(START_TIMEOUT, (message) => (message.type === "ready" ? true : undefined));
    if (ready === true) return child;
    await child[Symbol.asyncDispose]();
    throw new InfrastructureError(
      `the process that checks tasks ${ready.reason}${child.#printed === "" ? "" : `: ${child.#printed.trim()}`}`,
    );
  }

  /** Whether no product code has run in it yet. */
  get fresh(): boolean {
    return this.#asked === 0;
  }

  /** Whether it was ended since it took too long for its last question. */
  get timedOut(): boolean {
    return this.#timedOut;
  }

  /** @param timeout milliseconds; without an answer by then the process is ended */
  async ask(question: Question, timeout: number): Promise<Answer | NoAnswer> {
    const number = ++this.#asked;
    this.#process.send({ number, question }, () => undefined);
    const given = await this.#next(timeout, (message) =>
      message.type === "answer" && message.number === number ? message.answer : undefined,
    );
    if (given.type === "none") await this[Symbol.asyncDispose]();
    return given;
  }

  /** Waits for the message that `pick` takes. */
  async #next<T>(timeout: number, pick: (message: FromCatalog) => T | undefined): Promise<T | NoAnswer> {
    return await new Promise((resolve) => {
      const end = (result: T | NoAnswer) => {
        clearTimeout(timer);
        this.#hear = () => undefined;
        resolve(result);
      };
      const timer = setTimeout(() => {
        this.#timedOut = true;
        end({ type: "none", reason: `did not finish in ${timeout / 1000} s` });
      }, timeout);
      this.#hear = (heard) => {
        if (typeof heard === "string") end({ type: "none", reason: heard });
        else if (heard.type === "uncaught") this.#uncaught = `threw ${heard.what}`;
        else {
          const picked = pick(heard);
          if (picked !== undefined) end(picked);
        }
      };
      if (this.#process.exitCode !== null || this.#process.signalCode !== null) {
        this.#hear(exitReason(this.#process.exitCode, this.#process.signalCode));
      }
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.pid === undefined) return;
    this.#process.kill("SIGKILL");
    await this.#gone;
  }
}

function exitReason(code: number | null, signal: NodeJS.Signals | null): string {
  if (signal === "SIGABRT") return "ended the process by SIGABRT, as when memory runs out";
  return signal === null ? `called process.exit(${code ?? 0})` : `ended the process by ${signal}`;
}
