import { redact } from "../secrets.ts";

/** What a command has of the process around it. */
export interface Surroundings {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Writes what was asked for. */
  readonly out: (text: string) => void;
  /** Writes what people should know besides. */
  readonly err: (text: string) => void;
  /** Hides these texts too in whatever is written from now on. */
  readonly hide: (secrets: Iterable<string>) => void;
}

/** Surroundings that show no secret. */
export function hidingSecrets({ out, err, ...rest }: Omit<Surroundings, "hide">): Surroundings {
  const hidden = new Set<string>();
  return {
    ...rest,
    out: (text) => out(redact(text, hidden)),
    err: (text) => err(redact(text, hidden)),
    hide(secrets) {
      for (const secret of secrets) hidden.add(secret);
    },
  };
}
