/** What a command has of the process around it. */
export interface Surroundings {
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Writes what was asked for. */
  readonly out: (text: string) => void;
  /** Writes what people should know besides. */
  readonly err: (text: string) => void;
}
