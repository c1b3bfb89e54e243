/** Flags of Node without those that open a debugger: each process would want the same port. */
export function withoutInspector(flags: readonly string[]): string[] {
  return flags.filter((flag) => !/^--(inspect|debug)/.test(flag));
}

/** This process's environment, for a child that must not open an inspector either. */
export function environmentWithoutInspector(): NodeJS.ProcessEnv {
  return { ...process.env, NODE_OPTIONS: withoutInspector((process.env["NODE_OPTIONS"] ?? "").split(" ")).join(" ") };
}
