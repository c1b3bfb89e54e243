/** Turns checked values into settings: times to milliseconds, paths to absolute ones, files to their text. */
import { X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";

import type { KafkaConnection, SaslCredentials, TlsFiles } from "../connections.ts";
import { parseDuration } from "../duration.ts";
import { messageOf, type Fault } from "../errors.ts";
import type { TracingSettings } from "../tracing.ts";
import { checkpointStore } from "./checkpoint-store.ts";
import { parseSize, type Problem } from "./formats.ts";
import { originText, type BackOffSettings, type LogSettings, type Origin, type Settings } from "./settings.ts";
import { taskStores } from "./task-stores.ts";

/** What a builder needs to know of where values come from. */
export interface BuildContext {
  /** The settings file, absolute. */
  readonly file: string | undefined;
  /** What relative paths in tasks count from. */
  readonly directory: string;
  /** The folder that a relative path in a setting's value counts from. */
  folderOf(setting: string): string;
  originOf(setting: string): Origin;
  /** Whether a setting was reported already: its value is the default. */
  isFaulty(setting: string): boolean;
  report(setting: string, problem: Problem): void;
}

export class SettingsBuilder {
  readonly #values: Readonly<Record<string, unknown>>;
  readonly #context: BuildContext;
  readonly #secrets: string[] = [];
  readonly #warnings: Fault[] = [];

  /** @param values of every setting, by path, each without a problem of its own */
  constructor(values: Readonly<Record<string, unknown>>, context: BuildContext) {
    this.#values = values;
    this.#context = context;
  }

  /** Secrets that were read from files. */
  get secrets(): readonly string[] {
    return this.#secrets;
  }

  get warnings(): readonly Fault[] {
    return this.#warnings;
  }

  /** Reports what does not go together, or can't be read. */
  build(): Settings {
    const redisUrl = this.#text("redis.url");
    return {
      file: this.#context.file,
      directory: this.#context.directory,
      products: this.#texts("products").map((folder) => resolve(this.#context.folderOf("products"), folder)),
      tasks: taskStores(this.#values["tasks"], this.#context.folderOf("tasks"), redisUrl),
      workers: this.#number("workers"),
      worker: {
        heartbeat: this.#ms("worker.heartbeat"),
        startTimeout: this.#ms("worker.startTimeout"),
        rssLimit: parseSize(this.#values["worker.rssLimit"]),
      },
      models: { maxThreads: this.#number("models.maxThreads"), parallelWorkers: this.#number("models.parallelWorkers") },
      restart: { ...this.#range("restart"), resetAfter: this.#ms("restart.resetAfter") },
      quarantine: { ...this.#range("quarantine"), after: this.#number("quarantine.after") },
      kafka: this.#kafka(),
      nats: { servers: this.#texts("nats.servers").map(withScheme), credentials: this.#credentials() },
      redis: { url: redisUrl },
      admin: { host: this.#adminHost(), port: this.#number("admin.port") },
      checkpoint: {
        interval: this.#ms("checkpoint.interval"),
        store: checkpointStore(this.#values["checkpoint.store"], this.#context.folderOf("checkpoint.store"), redisUrl),
      },
      shutdown: { timeout: this.#ms("shutdown.timeout") },
      log: { level: this.#text("log.level") as LogSettings["level"], format: this.#text("log.format") as LogSettings["format"] },
      tracing: this.#tracing(),
    };
  }

  #kafka(): KafkaConnection {
    const ssl = this.#ssl();
    const sasl = this.#sasl();
    if (sasl?.mechanism === "plain" && ssl === false) {
      this.#warn(
        "kafka.sasl.mechanism",
        "plain sends the password to Kafka readable for all on the way; turn on kafka.ssl, or use scram-sha-512",
      );
    }
    return { brokers: this.#texts("kafka.brokers"), client: this.#text("kafka.client") as KafkaConnection["client"], ssl, sasl };
  }

  #ssl(): false | true | TlsFiles {
    const given = ["ca", "cert", "key"].filter((name) => this.#given(`kafka.ssl.${name}`));
    const enabled = this.#given("kafka.ssl.enabled") ? this.#values["kafka.ssl.enabled"] === true : given.length > 0;
    if (!enabled) return false;
    if (given.includes("cert") !== given.includes("key")) {
      const [has, lacks] = given.includes("cert") ? ["cert", "key"] : ["key", "cert"];
      this.#context.report(`kafka.ssl.${has}`, { within: "", what: `needs kafka.ssl.${lacks} beside it` });
    }
    if (given.length === 0) return true;
    return { ca: this.#pem("ca", "CERTIFICATE"), cert: this.#pem("cert", "CERTIFICATE"), key: this.#pem("key", "PRIVATE KEY") };
  }

  #pem(name: string, kind: string): string | undefined {
    const setting = `kafka.ssl.${name}`;
    const text = this.#read(setting);
    if (text === undefined) return undefined;
    const fault = text.includes(`${kind}-----`) ? (kind === "CERTIFICATE" ? certificateFault(text) : undefined) : `holds no PEM "${kind}"`;
    if (fault !== undefined) this.#context.report(setting, { within: "", what: `${this.#path(setting)} ${fault}` });
    return text;
  }

  #sasl(): SaslCredentials | undefined {
    const names = ["mechanism", "username", "password"];
    const lacking = names.filter((name) => !this.#given(`kafka.sasl.${name}`) && !this.#context.isFaulty(`kafka.sasl.${name}`));
    if (lacking.length === names.length) return undefined;
    const first = names.find((name) => !lacking.includes(name)) ?? "username";
    for (const name of lacking) this.#context.report(`kafka.sasl.${first}`, { within: "", what: `needs kafka.sasl.${name} beside it` });
    const mechanism = this.#values["kafka.sasl.mechanism"] as SaslCredentials["mechanism"];
    return { mechanism, username: this.#text("kafka.sasl.username"), password: this.#text("kafka.sasl.password") };
  }

  #credentials(): string | undefined {
    const text = this.#read("nats.credentials");
    if (text !== undefined && !text.includes("BEGIN NATS USER JWT")) {
      this.#context.report("nats.credentials", { within: "", what: `${this.#path("nats.credentials")} is no NATS credentials file` });
    }
    this.#secrets.push(...(text ?? "").split("\n").filter((line) => /^[A-Za-z0-9._-]{40,}\s*$/.test(line)));
    return text;
  }

  #tracing(): TracingSettings | undefined {
    if (!this.#given("tracing.endpoint")) return undefined;
    return { endpoint: this.#text("tracing.endpoint"), sample: this.#number("tracing.sample") };
  }

  #adminHost(): string {
    const host = this.#text("admin.host");
    const local = host === "localhost" || host === "::1" || host.startsWith("127.");
    if (!local)
      this.#warn(
        "admin.host",
        `whoever reaches ${host} can read the admin server and have models loaded anew: it has no login. Use 127.0.0.1 unless a firewall or container keeps others out`,
      );
    return host;
  }

  #range(section: "restart" | "quarantine"): Pick<BackOffSettings, "min" | "max"> {
    const [min, max] = [this.#ms(`${section}.min`), this.#ms(`${section}.max`)];
    if (min > max) {
      const setting = this.#context.originOf(`${section}.min`).from === "default" ? `${section}.max` : `${section}.min`;
      this.#context.report(setting, {
        within: "",
        what: `${section}.min must be at most ${section}.max: ${min} ms is longer than ${max} ms`,
      });
    }
    return { min, max };
  }

  /** The text of the file that a setting names. */
  #read(setting: string): string | undefined {
    if (!this.#given(setting)) return undefined;
    try {
      return readFileSync(this.#path(setting), "utf8");
    } catch (error) {
      this.#context.report(setting, { within: "", what: `the file can't be read: ${messageOf(error)}` });
      return undefined;
    }
  }

  #path(setting: string): string {
    return resolve(this.#context.folderOf(setting), this.#text(setting));
  }

  #warn(setting: string, what: string): void {
    this.#warnings.push({ where: originText(this.#context.originOf(setting)), what: `${setting}: ${what}` });
  }

  #given(setting: string): boolean {
    return (this.#values[setting] ?? null) !== null;
  }

  #text(setting: string): string {
    return this.#values[setting] as string;
  }

  #texts(setting: string): readonly string[] {
    return this.#values[setting] as readonly string[];
  }

  #number(setting: string): number {
    return this.#values[setting] as number;
  }

  #ms(setting: string): number {
    return parseDuration(this.#values[setting]) ?? 0;
  }
}

function certificateFault(text: string): string | undefined {
  try {
    return new X509Certificate(text).raw.length > 0 ? undefined : "is an empty certificate";
  } catch (error) {
    return `holds no certificate that can be read: ${messageOf(error)}`;
  }
}

function withScheme(server: string): string {
  return server.includes("://") ? server : `nats://${server}`;
}
