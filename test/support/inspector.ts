/** A debugger as an editor is one: it talks the inspector protocol (https://chromedevtools.github.io/devtools-protocol/) over a WebSocket. */
export interface CallFrame {
  readonly callFrameId: string;
  readonly functionName: string;
  readonly location: { readonly scriptId: string; readonly lineNumber: number };
}

interface Message {
  readonly id?: number;
  readonly method?: string;
  readonly params?: unknown;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

export class Inspector {
  readonly #socket: WebSocket;
  readonly #replies = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #scripts = new Map<string, string>();
  readonly #pauses: (readonly CallFrame[])[] = [];
  #waiting: PromiseWithResolvers<readonly CallFrame[]> | undefined;
  #last = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => this.#receive(JSON.parse(String(data)) as Message));
    socket.addEventListener("close", () => this.#fail(new Error("the process closed its inspector")));
  }

  /** @param url `ws://127.0.0.1:PORT/ID`, as Node prints it */
  static async connect(url: string): Promise<Inspector> {
    const socket = new WebSocket(url);
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve, { once: true });
      socket.addEventListener("error", reject, { once: true });
    });
    return new Inspector(socket);
  }

  /** Calls a method of the protocol. */
  async call(method: string, params: object = {}): Promise<unknown> {
    const id = ++this.#last;
    const reply = Promise.withResolvers<unknown>();
    this.#replies.set(id, reply);
    this.#socket.send(JSON.stringify({ id, method, params }));
    return await reply.promise;
  }

  /** The call stack, innermost first, when the program pauses next, or has paused since this was last asked. */
  async paused(): Promise<readonly CallFrame[]> {
    const past = this.#pauses.shift();
    if (past !== undefined) return past;
    this.#waiting = Promise.withResolvers();
    return await this.#waiting.promise;
  }

  /** The URL of the file that a frame is in. */
  fileOf(frame: CallFrame): string | undefined {
    return this.#scripts.get(frame.location.scriptId);
  }

  /** The value of an expression in a frame. */
  async evaluate(frame: CallFrame, expression: string): Promise<unknown> {
    const answer = await this.call("Debugger.evaluateOnCallFrame", { callFrameId: frame.callFrameId, expression, returnByValue: true });
    return (answer as { readonly result: { readonly value?: unknown } }).result.value;
  }

  close(): void {
    this.#socket.close();
  }

  #receive({ id, method, params, result, error }: Message): void {
    if (id !== undefined) {
      const reply = this.#replies.get(id);
      this.#replies.delete(id);
      if (error === undefined) reply?.resolve(result);
      else reply?.reject(new Error(error.message));
    }
    if (method === "Debugger.scriptParsed") {
      const { scriptId, url } = params as { readonly scriptId: string; readonly url: string };
      this.#scripts.set(scriptId, url);
    }
    if (method !== "Debugger.paused") return;
    const { callFrames } = params as { readonly callFrames: readonly CallFrame[] };
    if (this.#waiting === undefined) this.#pauses.push(callFrames);
    else this.#waiting.resolve(callFrames);
    this.#waiting = undefined;
  }

  #fail(error: Error): void {
    for (const reply of this.#replies.values()) reply.reject(error);
    this.#waiting?.reject(error);
  }
}
