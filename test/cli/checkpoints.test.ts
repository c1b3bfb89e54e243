import assert from "node:assert/strict";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, type TestContext } from "node:test";

import { jetstreamManager } from "@nats-io/jetstream";
import { connect } from "@nats-io/transport-node";
import { Redis } from "ioredis";

import { millraceHere } from "../support/millrace.ts";
import { Site } from "../support/operated.ts";
import { nats, redis } from "../support/services/index.ts";
import { readingsIn, TALLY, talliesIn } from "./tally.ts";

interface Listed {
  readonly partition: string;
  readonly epoch: number;
  readonly state: string;
  readonly position?: number;
  readonly watermark?: number;
  readonly steps?: number;
  readonly fits?: string;
}

/** Settings for a store of the test's own. */
type Prepare = (t: TestContext) => Promise<Readonly<Record<string, unknown>>>;

const STORES: Readonly<Record<string, Prepare>> = {
  file: async () => ({ checkpoint: { interval: "100ms", store: { file: { path: "checkpoints" } } } }),
  Redis: async (t) => {
    const url = `${await redis()}/8`;
    const client = new Redis(url);
    t.after(() => client.disconnect());
    await client.flushdb();
    return { checkpoint: { interval: "100ms", store: { redis: { url } } } };
  },
  "NATS KV": async (t) => {
    const servers = await nats();
    const bucket = `operated-${process.pid}`;
    const client = await connect({ servers });
    t.after(async () => {
      await (await jetstreamManager(client)).streams.delete(`KV_${bucket}`);
      await client.close();
    });
    return { nats: { servers: [servers] }, checkpoint: { interval: "100ms", store: { natsKv: { bucket } } } };
  },
};

/** Readings in a window of all keys. */
const WINDOW = 500;
const task = {
  product: "tally",
  config: {
    input: { generator: { rate: 300, keys: 5, step: 20 } },
    output: { file: { path: "out.ndjson" } },
    size: "10s",
  },
};

/** In this process: commands are waited for while the task runs on. */
function command(site: Site, args: readonly string[]) {
  return millraceHere([...args, "--config", "settings.yaml"], { cwd: site.folder });
}

async function listed(site: Site): Promise<Listed | undefined> {
  const { code, stdout, stderr } = await command(site, ["checkpoints", "list", "--task", "t", "--json"]);
  assert.equal(code, 0, stderr);
  return (JSON.parse(stdout) as Listed[])[0];
}

for (const [name, prepare] of Object.entries(STORES)) {
  void describe(`checkpoints in a ${name} store, beside a running task`, () => {
    it("lists, shows, exports, resets and imports them; the running instance begins again each time", async (t) => {
      const site = new Site(t, {
        settings: { ...(await prepare(t)), workers: 1, restart: { min: "50ms" } },
        tasks: { t: task },
        products: [],
      });
      site.write("products/tally/index.ts", TALLY);
      const running = site.start();
      const first = await running.until("windows were given", async () => {
        const one = await listed(site);
        return one?.position !== undefined && one.position > 700 && one;
      });
      assert.deepEqual([first.partition, first.state, first.steps, first.fits], ["generator", "saved", 2, "yes"]);
      assert.ok((first.watermark ?? 0) >= 20 * 700 - 20);

      const shown = await command(site, ["checkpoints", "show", "t", "generator"]);
      assert.equal(shown.code, 0, shown.stderr);
      assert.match(shown.stdout, /safe position +\d+ \(reading would begin there without the state\)/);
      assert.match(shown.stdout, /made +\S+ \(\d+s ago\), by Millrace \d/);
      assert.match(shown.stdout, /whole +yes\n +fits +yes\n/);
      assert.match(shown.stdout, / {2}step tallies: tumbling windows .*; \d+ bytes, 5 open, in 1 segments\n/);

      const exported = await command(site, ["checkpoints", "export", "t", "t.checkpoints"]);
      assert.deepEqual([exported.code, exported.stderr], [0, "t: exported generator\n"]);
      const unclear = await command(site, ["checkpoints", "reset", "--task", "t"]);
      assert.equal(unclear.code, 2);
      assert.match(unclear.stderr, /which partitions\? Name them with --partition, or give --all/);

      const reset = await command(site, ["checkpoints", "reset", "--task", "t", "--all"]);
      assert.equal(reset.code, 0, reset.stderr);
      const [, safe, before] = /made anew from position (\d+) on \(it was at (\d+)\)/.exec(reset.stdout) ?? [];
      assert.ok(Number(safe) < Number(before) && Number(before) >= (first.position ?? 0), reset.stdout);
      const second = await running.until("the instance has claimed it again", async () => {
        const one = await listed(site);
        return one !== undefined && one.epoch >= first.epoch + 2 && (one.steps ?? 0) > 0 && one.position !== undefined && one;
      });
      assert.match(running.output, /another instance has taken its checkpoints over/);

      const imported = await command(site, ["checkpoints", "import", "t", "t.checkpoints"]);
      assert.equal(imported.code, 0, imported.stderr);
      assert.match(imported.stdout, /^t generator: goes on from position \d+\n$/);
      await running.until("and again", async () => ((await listed(site))?.epoch ?? 0) >= second.epoch + 2);
      assert.match(running.output, new RegExp(`"position":${/position (\d+)/.exec(imported.stdout)?.[1]},.*going on from a checkpoint`));

      const last = (await listed(site))?.position ?? 0;
      await running.until("it has gone on", async () => ((await listed(site))?.position ?? 0) > last + 2 * WINDOW);
      assert.equal((await running.stop()).code, 0, running.output);
      const { windows, repeats } = talliesIn(site.folder);
      assert.equal(readingsIn(windows), (WINDOW * windows.size) / 5, "each reading is in one window, however often that was given");
      assert.ok(repeats > 0, "after the import windows came again, as they were");
    });
  });
}

void describe("exported checkpoints", () => {
  it("are refused when they are damaged, cut or of another task, and taken for another with --as", async (t) => {
    const site = new Site(t, { settings: { ...(await STORES["file"]!(t)), workers: 1 }, tasks: { t: task }, products: [] });
    site.write("products/tally/index.ts", TALLY);
    const running = site.start();
    await running.until("something is saved", async () => ((await listed(site))?.position ?? 0) > 100);
    assert.equal((await running.stop()).code, 0);
    assert.equal((await command(site, ["checkpoints", "export", "t", "whole"])).code, 0);
    const whole = readFileSync(join(site.folder, "whole"));
    const refused = async (bytes: Uint8Array, as: string, what: RegExp) => {
      writeFileSync(join(site.folder, "other"), bytes);
      const { code, stderr, stdout } = await command(site, ["checkpoints", "import", as, "other"]);
      assert.deepEqual([code, stdout], [1, ""]);
      assert.match(stderr, what);
    };
    const before = await listed(site);
    const flipped = Buffer.from(whole);
    flipped[flipped.length >> 1]! ^= 1;
    await refused(flipped, "t", /damaged: a checksum is wrong; nothing was imported/);
    await refused(whole.subarray(0, whole.length - 20), "t", /damaged or cut off; nothing was imported/);
    await refused(Buffer.from("what else"), "t", /it holds no exported checkpoints; nothing was imported/);
    await refused(Buffer.from(whole.toString("latin1").replace("checkpoints 1", "checkpoints 2"), "latin1"), "t", /it has the format 2/);
    await refused(whole, "u", /it has checkpoints of task "t", not of "u"; nothing was imported/);
    assert.deepEqual(await listed(site), before, "nothing was claimed");
    const as = await command(site, ["checkpoints", "import", "t", "whole", "--as", "u"]);
    assert.equal(as.code, 0, as.stderr);
    const all = await command(site, ["checkpoints", "list"]);
    assert.match(all.stdout, /^t +generator +\d+ .* yes$/m);
    assert.match(all.stdout, /^u +generator +\d+ .* unknown +there is no such task$/m);
  });
});
