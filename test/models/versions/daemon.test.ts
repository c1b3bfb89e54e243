import assert from "node:assert/strict";
import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { TestContext } from "node:test";
import { test } from "node:test";

import { startMillrace, writeFiles } from "../../support/millrace.ts";
import { tempFolder } from "../../support/temp-folder.ts";
import { until } from "../../support/until.ts";

const PLACES = ["worker", "threads", "processes"] as const;

/** A product that counts from 0 on whenever it is begun, and says which of its own versions it is. */
const product = (code: number) => `
import { defineProduct, from, memorySource, processes, sink, sinkConfig, threads, worker, z } from "millrace";
import type model from "./model.ts";

const places = { worker, threads, processes };

async function* numbers() {
  for (let n = 0; ; n++) {
    yield { value: n };
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}

export default defineProduct({
  name: "counter",
  config: z.strictObject({ place: z.enum(["worker", "threads", "processes"]), output: sinkConfig }),
  pipeline: ({ config }) =>
    from(memorySource<number>(numbers()))
      .infer(places[config.place]<typeof model>(import.meta.resolve("./model.ts")))
      .map((answer, { headers }) => ({ ...answer, code: ${code}, by: String(headers?.[0]?.[1]) }))
      .to(sink(config.output)),
});
`;

const model = (version: number) => `
import { defineModel } from "millrace";
export default defineModel({
  version: "${version}",
  warmUp: [-1],
  predict: (inputs: readonly number[]) => inputs.map((n) => ({ n, version: ${version} })),
});
`;

interface Result {
  readonly n: number;
  readonly version: number;
  readonly code: number;
  readonly by: string;
}

/** A daemon with a task of the product in each place. */
class Counters {
  readonly folder: string;
  readonly ended: Promise<number | null>;
  output = "";
  readonly #process: ReturnType<typeof startMillrace>;

  constructor(t: TestContext) {
    this.folder = tempFolder(t);
    writeFiles(this.folder, { "products/counter/index.ts": product(1), "products/counter/model.ts": model(1) });
    for (const place of PLACES) {
      const config = { place, output: { file: { path: `${place}.ndjson` } } };
      writeFiles(this.folder, { [`config/tasks/${place}.json`]: JSON.stringify({ id: place, product: "counter", config }) });
    }
    const args = ["run", "--set", "admin.port=0", "--set", "workers=1"];
    this.#process = startMillrace(args, { cwd: this.folder, patience: 300_000 });
    t.after(() => this.#process.kill("SIGKILL"));
    this.#process.stdout.on("data", (chunk: Buffer) => (this.output += chunk.toString()));
    this.#process.stderr.on("data", (chunk: Buffer) => (this.output += chunk.toString()));
    this.ended = new Promise((resolve) => this.#process.once("close", resolve));
  }

  write(name: string, text: string): void {
    const file = join(this.folder, "products/counter", name);
    writeFileSync(`${file}.new`, text);
    renameSync(`${file}.new`, file);
  }

  results(place: string): readonly Result[] {
    const file = join(this.folder, `${place}.ndjson`);
    if (!existsSync(file)) return [];
    const lines = readFileSync(file, "utf8").split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line) as Result);
  }

  /** Waits until the last result in each place is as wanted. */
  async last(what: string, wanted: Partial<Result>): Promise<void> {
    for (const place of PLACES) {
      await until(
        `${what} in ${place}`,
        () => {
          const last = this.results(place).at(-1);
          return last !== undefined && Object.entries(wanted).every(([name, value]) => last[name as keyof Result] === value);
        },
        { timeout: 90_000, every: 100 },
      );
    }
  }

  /** Waits until each place has results beyond those that it has now. */
  async goesOn(): Promise<void> {
    for (const place of PLACES) {
      const { length } = this.results(place);
      await until(`${place} goes on`, () => this.results(place).length > length + 100, { timeout: 90_000, every: 100 });
    }
  }

  /** How many lines of the log are like this. */
  told(pattern: RegExp): number {
    return this.output.split("\n").filter((line) => pattern.test(line)).length;
  }

  /** SIGHUP, until what it asks for is done. */
  async reread(): Promise<void> {
    const before = this.told(/products and tasks were read anew/);
    this.#process.kill("SIGHUP");
    await until("products and tasks were read anew", () => this.told(/products and tasks were read anew/) > before, { timeout: 90_000 });
  }

  async end(): Promise<number | null> {
    this.#process.kill("SIGTERM");
    return await this.ended;
  }
}

test("a daemon follows the file of a model, wherever it runs, without a gap, a repeat or a restart", async (t) => {
  const daemon = new Counters(t);
  await daemon.last("version 1", { version: 1 });
  daemon.write("model.ts", model(2));
  await daemon.last("version 2", { version: 2, by: "counter@2" });

  daemon.write("model.ts", "export default defineModel({");
  await until("each place has told of the broken file", () => daemon.told(/a new version of a model can't be loaded/) === PLACES.length, {
    timeout: 90_000,
  });
  await daemon.goesOn();
  // That a model's file changed is no reason to begin its tasks again.
  await daemon.reread();
  await daemon.goesOn();
  daemon.write("model.ts", model(3));
  await daemon.last("version 3", { version: 3 });

  const port = /"url":"http:\/\/127\.0\.0\.1:(\d+)"/.exec(daemon.output)?.[1];
  const answer = await fetch(`http://127.0.0.1:${port}/api/models/counter/reload`, { method: "POST" });
  assert.equal(answer.status, 200, await answer.text());
  await daemon.goesOn();

  for (const place of PLACES) {
    const results = daemon.results(place);
    assert.equal(
      results.findIndex(({ n }, index) => n !== index),
      -1,
      `${place}: all numbers, in order`,
    );
    assert.deepEqual([...new Set(results.map(({ version }) => version))], [1, 2, 3], place);
    assert.ok(
      results.every(({ version, by }) => by === `counter@${version}`),
      `${place}: the header names what answered`,
    );
  }

  // Code that is new together with a model that is broken: the tasks go on as they are, until both are right.
  daemon.write("model.ts", "export default {};");
  daemon.write("index.ts", product(2));
  await daemon.reread();
  await daemon.goesOn();
  await daemon.last("the old code", { code: 1, version: 3 });
  assert.equal(daemon.told(/model\.ts: its default export has no predict/) > 0, true);
  daemon.write("model.ts", model(4));
  await daemon.reread();
  await daemon.last("the new code with the new model", { code: 2, version: 4 });
  assert.equal(daemon.told(/a task .*(?:failed|backing off)|worker .*(?:died|restart)/i), 0, daemon.output);
  assert.equal(await daemon.end(), 0);
});
