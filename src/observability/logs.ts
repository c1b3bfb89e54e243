import pino from "pino";
import pretty from "pino-pretty";

import type { Logger } from "../contracts.ts";
import { shortened } from "../errors.ts";
import { redact, SECRET } from "../secrets.ts";

/** How logs are written. Plain data, so that the supervisor hands it to its workers. It holds secrets. */
export interface LogOptions {
  readonly level: "trace" | "debug" | "info" | "warn" | "error" | "fatal" | "silent";
  readonly format: "json" | "pretty";
  /** Texts that must never be shown. */
  readonly secrets: readonly string[];
  /** The file descriptor that lines go to; default 1, stdout. */
  readonly fd?: number;
}

/** The logs of one process. */
export interface Logs {
  readonly logger: Logger;
  /** Hides these texts too, from the next line on. */
  hide(secrets: Iterable<string>): void;
  /** A text that tells of a fault, as it may be shown elsewhere too. */
  shown(text: string): string;
}

/** Fields whose value is never shown, at the top of a line or one or two levels down. */
const SECRET_FIELDS = ["password", "passwd", "secret", "token", "credentials", "authorization", "apiKey", "sasl"];

/**
 * Opens the logs of this process: a line of JSON for each entry, or a readable line. Lines are written at once: a process
 * that dies leaves nothing unwritten. Secrets and passwords in URLs are replaced wherever they stand in a line.
 * @param fields on every line, such as `worker`
 */
export function openLogs(options: LogOptions, fields: Readonly<Record<string, unknown>>): Logs {
  const secrets = new Set(options.secrets);
  const logger = pino(
    {
      level: options.level,
      base: fields,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      redact: { paths: SECRET_FIELDS.flatMap((field) => [field, `*.${field}`, `*.*.${field}`]), censor: SECRET },
      hooks: { streamWrite: (line) => redact(line, secrets) },
    },
    destination(options),
  );
  return {
    logger,
    hide(more) {
      for (const secret of more) secrets.add(secret);
    },
    shown: (text) => shortened(redact(text, secrets)),
  };
}

function destination(options: LogOptions): pino.DestinationStream {
  const fd = options.fd ?? 1;
  const stream =
    options.format === "pretty"
      ? pretty({
          sync: true,
          destination: fd,
          colorize: process.stdout.hasColors?.() ?? false,
          ignore: "pid,hostname",
          singleLine: true,
          translateTime: "SYS:HH:MM:ss.l",
        })
      : pino.destination({ fd, sync: true });
  // Whoever read the logs has gone; that is no reason to stop the work.
  (stream as { on?(event: "error", listener: () => void): unknown }).on?.("error", () => undefined);
  return stream;
}

/** What `log.format: auto` means for this process. */
export function logFormat(format: "auto" | "json" | "pretty", terminal: boolean): "json" | "pretty" {
  if (format !== "auto") return format;
  return terminal ? "pretty" : "json";
}
