/** Waits at its top level for what never comes. */
await new Promise(() => setInterval(() => undefined, 1000).unref());

export default (inputs: readonly number[]): readonly number[] => inputs;
