import type { Lease, Logger } from "../contracts.ts";
import { ConfigError, InfrastructureError, messageOf } from "../errors.ts";
import type { RedisConnectionHandle } from "../redis/connection.ts";
import { maskUrl } from "../secrets.ts";

/** A command's arguments. */
export type RedisArgument = string | Buffer | number;

/** Asks Redis, which must be one that throws nothing away. */
export class RedisAccess implements AsyncDisposable {
  readonly #lease: Lease<RedisConnectionHandle>;
  readonly #shownUrl: string;
  readonly #logger: Logger;
  #checked = false;
  #warned = false;

  constructor(lease: Lease<RedisConnectionHandle>, url: string, logger: Logger) {
    this.#lease = lease;
    this.#shownUrl = maskUrl(url);
    this.#logger = logger;
  }

  /**
   * Sends one command; texts in the answer are Buffers.
   * @throws {InfrastructureError} within seconds, when Redis is away, has no memory left, takes no writes, or refuses
   * @throws {ConfigError} when Redis may throw away what it has
   */
  async send(command: string, ...args: readonly RedisArgument[]): Promise<unknown> {
    try {
      await this.#lease.resource.ready();
      if (!this.#checked) await this.#checkEviction();
      return await this.#lease.resource.client.callBuffer(command, ...args);
    } catch (error) {
      if (error instanceof ConfigError) throw error;
      throw this.#failure(error);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#lease[Symbol.asyncDispose]();
  }

  async #checkEviction(): Promise<void> {
    const policy = await this.#evictionPolicy();
    if (policy === undefined) {
      if (!this.#warned) this.#logger.warn({ redis: this.#shownUrl }, "Redis does not tell its maxmemory-policy; it must be noeviction");
      this.#warned = true;
    } else if (policy !== "noeviction") {
      const what = `keeps checkpoints, but its maxmemory-policy is ${policy}, which throws data away when memory is short: set maxmemory-policy to noeviction, or use another Redis in checkpoint.store`;
      throw new ConfigError([{ where: this.#shownUrl, what }]);
    }
    this.#checked = true;
  }

  /** Undefined where neither may be asked for. */
  async #evictionPolicy(): Promise<string | undefined> {
    const { client } = this.#lease.resource;
    try {
      const policy = /^maxmemory_policy:(\S+)/m.exec(await client.info("memory"))?.[1];
      if (policy !== undefined) return policy;
    } catch (error) {
      if (!isRefusal(error)) throw error;
    }
    try {
      const answer = (await client.config("GET", "maxmemory-policy")) as readonly string[];
      return answer[1];
    } catch (error) {
      if (!isRefusal(error)) throw error;
      return undefined;
    }
  }

  #failure(error: unknown): InfrastructureError {
    // It may be another server, or other settings, that answers next.
    this.#checked = false;
    if (error instanceof InfrastructureError) return error;
    if (messageOf(error) === "Command timed out") this.#lease.resource.reset();
    const remedy = isRefusal(error) ? remedyOf(messageOf(error)) : undefined;
    if (remedy !== undefined) return new InfrastructureError(`Redis at ${this.#shownUrl}: ${remedy}`, { cause: error });
    return this.#lease.resource.failure(error);
  }
}

/** Whether Redis answered, but not with what was asked for. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && error.name === "ReplyError";
}

function remedyOf(message: string): string {
  if (message.includes("OOM")) return `its memory is full: raise maxmemory, or free some (${message})`;
  if (message.includes("READONLY")) return `it is a replica and takes no writes: name the primary (${message})`;
  return message;
}
