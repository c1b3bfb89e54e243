/** A TCP proxy in this process that treats its connections as bad networks do. The kernel's own means need privileges. */
import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/** What befalls the bytes that pass; nothing, where it is empty. */
export interface Weather {
  /** How long each piece is under way, in milliseconds: so long, and up to `jitter` more. */
  readonly latency?: number;
  readonly jitter?: number;
  /** Bytes per second, of each connection and direction. */
  readonly throttle?: number;
  /** A connection is reset after so many bytes of both directions. */
  readonly cutAfter?: number;
  /** `silent`: connections are taken and stay open, and nothing passes, until the weather changes. */
  readonly passes?: "all" | "silent";
}

/** Bytes that wait in a direction of a connection; then its sender is no longer read. */
const MOST_WAITING = 1_048_576;

/** Stands before a server, on a port of 127.0.0.1 of its own. */
export class TcpProxy implements AsyncDisposable {
  readonly address: string;
  readonly #target: { readonly host: string; readonly port: number };
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #connections = new Set<Connection>();
  #weather: Weather = {};
  #changed = Promise.withResolvers<void>();

  private constructor(server: Server, port: number, target: string) {
    const url = new URL(`tcp://${target}`);
    this.#target = { host: url.hostname, port: Number(url.port) };
    this.address = `127.0.0.1:${port}`;
    this.#server = server;
    server.on("connection", (client: Socket) => this.#join(client));
  }

  /**
   * @param target `host:port`
   * @param port where it listens; default any free one
   */
  static async start(target: string, port = 0): Promise<TcpProxy> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.listen(port, "127.0.0.1");
    await once(server, "listening");
    const address = server.address();
    return new TcpProxy(server, typeof address === "object" && address !== null ? address.port : port, target);
  }

  get weather(): Weather {
    return this.#weather;
  }

  /** How many connections are open, from both sides. */
  get connections(): number {
    return this.#sockets.size;
  }

  /** From now on; what waited in silence goes on as the new weather allows. */
  set weather(weather: Weather) {
    this.#weather = weather;
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }

  /**
   * Holds what passes on the connections that are open now, while new ones are well. What is held is not lost: it arrives when
   * the function that it gives is called, after whatever took another way meanwhile.
   */
  hold(): () => void {
    const { promise, resolve } = Promise.withResolvers<void>();
    for (const connection of this.#connections) connection.held = promise;
    return resolve;
  }

  /** Resets all connections that are open. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.close();
    this.weather = {};
    for (const socket of this.#sockets) socket.destroy();
    if (this.#server.listening) await once(this.#server, "close");
  }

  #join(client: Socket): void {
    const server = connect({ ...this.#target, allowHalfOpen: true, noDelay: true });
    const pair = [client, server] as const;
    let passed = 0;
    const count = (bytes: number): void => {
      passed += bytes;
      if (passed <= (this.#weather.cutAfter ?? Number.POSITIVE_INFINITY)) return;
      for (const socket of pair) socket.resetAndDestroy();
    };
    for (const socket of pair) {
      this.#sockets.add(socket);
      // An error is followed by the close.
      socket.on("error", () => undefined);
      socket.once("close", () => this.#sockets.delete(socket));
    }
    const connection: Connection = { held: undefined };
    this.#connections.add(connection);
    const pass = () => this.#pass(connection);
    const carried = [this.#carry(client, server, count, pass), this.#carry(server, client, count, pass)];
    void Promise.all(carried).finally(() => this.#connections.delete(connection));
  }

  /** Takes what one side sends to the other, in order, until it ends. */
  async #carry(from: Socket, to: Socket, count: (bytes: number) => void, pass: () => Promise<void>): Promise<void> {
    const lane = new Lane(to, pass);
    try {
      for await (const chunk of from as AsyncIterable<Buffer>) {
        count(chunk.length);
        const { latency = 0, jitter = 0, throttle } = this.#weather;
        lane.add(chunk, latency + Math.random() * jitter, throttle);
        if (lane.waiting > MOST_WAITING) await lane.done;
      }
      await lane.done;
      await pass();
      to.end();
    } catch {
      // A side was reset: so is the other, unless a silent network hides that.
      await pass();
      to.resetAndDestroy();
    }
  }

  async #pass(connection: Connection): Promise<void> {
    await connection.held;
    while (this.#weather.passes === "silent") await this.#changed.promise;
  }
}

/** A connection with both directions. */
interface Connection {
  /** Settles when it goes on; undefined where it was never held. */
  held: Promise<void> | undefined;
}

/** What is under way in one direction of a connection. */
class Lane {
  waiting = 0;
  done: Promise<void> = Promise.resolve();
  readonly #to: Socket;
  readonly #pass: () => Promise<void>;
  /** When the line has taken all that was sent. */
  #free = 0;
  #due = 0;

  constructor(to: Socket, pass: () => Promise<void>) {
    this.#to = to;
    this.#pass = pass;
  }

  /** @param throttle bytes per second */
  add(chunk: Buffer, latency: number, throttle: number | undefined): void {
    const busy = throttle === undefined ? 0 : (chunk.length / throttle) * 1000;
    this.#free = Math.max(this.#free, performance.now()) + busy;
    this.#due = Math.max(this.#due, this.#free + latency);
    const due = this.#due;
    this.waiting += chunk.length;
    const before = this.done;
    this.done = this.#deliver(chunk, due, before);
    // Whoever awaits it meets the error.
    this.done.catch(() => undefined);
  }

  async #deliver(chunk: Buffer, due: number, before: Promise<void>): Promise<void> {
    await before;
    const wait = due - performance.now();
    if (wait > 0) await delay(wait);
    await this.#pass();
    if (this.#to.destroyed) throw new Error("the other side is gone");
    if (!this.#to.write(chunk)) await Promise.race([once(this.#to, "drain"), once(this.#to, "close")]);
    this.waiting -= chunk.length;
  }
}
