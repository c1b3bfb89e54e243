import { existsSync, writeFileSync } from "node:fs";
import { join } from "node:path";

import { defineModel } from "millrace";

/** What it does, once each, at events whose number ends so. */
const MISDEEDS: Readonly<Record<number, () => unknown>> = {
  100: () => process.exit(3),
  300: () =>
    new Promise(() => {
      setTimeout(() => {
        throw new Error("nobody catches this");
      }, 1);
    }),
  500: () => {
    for (;;) hoard.length = 0;
  },
  700: leak,
};
const EVERY = 1000;

const hoard: unknown[] = [];

function leak(): Promise<never> {
  return new Promise(() => {
    const more = () => {
      hoard.push(Array.from({ length: 200_000 }, (_, index) => ({ index })));
      setImmediate(more);
    };
    more();
  });
}

let marks: string | undefined;

/** Gives each event's number. With a folder for marks it harms its thread or process at some events, each the first time only. */
export default defineModel({
  version: "1",
  load: ({ settings }) => {
    ({ marks } = settings as { readonly marks?: string });
  },
  predict: async (inputs: readonly { readonly sequence: number }[]) => {
    for (const { sequence } of inputs) {
      const misdeed = marks === undefined ? undefined : MISDEEDS[sequence % EVERY];
      if (misdeed === undefined || existsSync(join(String(marks), String(sequence)))) continue;
      writeFileSync(join(String(marks), String(sequence)), "");
      await misdeed();
    }
    return inputs.map(({ sequence }) => sequence);
  },
});
