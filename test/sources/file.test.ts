import assert from "node:assert/strict";
import { chmodSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { open as openFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, it, test, type TestContext } from "node:test";

import type { Batch, Event, Position } from "../../src/batch.ts";
import { END_OF_INPUT } from "../../src/batch.ts";
import { DataError, MillraceError, NotReadyError } from "../../src/errors.ts";
import { readLines } from "../../src/sources/file-lines.ts";
import { fileSource, type FileSourceSettings, formatOf } from "../../src/sources/file.ts";
import { VirtualClock } from "../../src/virtual-clock.ts";
import { asNobody } from "../support/nobody.ts";
import { openContext } from "../support/open-context.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { until } from "../support/until.ts";

type Settings = Omit<FileSourceSettings, "path">;

interface Reading {
  readonly batches: readonly Batch[];
  readonly values: readonly unknown[];
  readonly lines: readonly Position[];
  readonly error: unknown;
}

/** Reads a file of that name and content to its end. */
async function readFile(t: TestContext, name: string, content: string | Buffer, settings: Settings = {}): Promise<Reading> {
  const path = join(tempFolder(t), name);
  writeFileSync(path, content);
  return await readPath(t, { path, ...settings });
}

async function readPath(t: TestContext, settings: FileSourceSettings): Promise<Reading> {
  const batches: Batch[] = [];
  let error: unknown;
  try {
    await using source = await fileSource(settings).open(openContext(t), { stateful: false });
    for await (const partition of source.partitions(new AbortController().signal)) {
      for await (const batch of partition.read(undefined)) batches.push(batch);
    }
  } catch (thrown) {
    error = thrown;
  }
  const events = batches.flatMap((batch): Event[] => batch.events);
  const values = events.map(({ value }) => (value instanceof Uint8Array ? Buffer.from(value).toString() : value));
  return { batches, values, lines: events.map(({ offset }) => offset + 1), error };
}

describe("lines of a file", () => {
  it("are bytes without their line ends; empty ones are left out, and numbers are those of an editor", async (t) => {
    const { values, lines, batches } = await readFile(t, "in.ndjson", '{"a":1}\r\n\n{"a":2}\n\r\n\r\n{"a":3}');
    assert.deepEqual(values, ['{"a":1}', '{"a":2}', '{"a":3}']);
    assert.deepEqual(lines, [1, 3, 6]);
    assert.ok(batches[0]?.events.every(({ value }) => value instanceof Uint8Array));
    assert.ok(batches[0]?.events.every(({ time, key }) => Number.isNaN(time) && key === undefined));
  });

  it("are text with the format text, and what is no text is named by its line", async (t) => {
    const { values, error, batches } = await readFile(
      t,
      "in.log",
      Buffer.concat([Buffer.from("\uFEFFeins\nzwei ü\n"), Uint8Array.of(0xff, 10, 0x34)]),
    );
    assert.deepEqual(values, ["eins", "zwei ü"]);
    assert.match(String(error), /^DataError: step "source" at file .*in\.log:3: the bytes are not UTF-8 text$/);
    assert.equal(batches.at(-1)?.position, 2);
  });

  it("are decoded with the format json, and what is no JSON is named by its line", async (t) => {
    const { values, error } = await readFile(t, "in.ndjson", '{"a":1}\n\n[2]\n{"a":', { format: "json" });
    assert.deepEqual(values, [{ a: 1 }, [2]]);
    assert.match(String(error), /^DataError: step "source" at file .*in\.ndjson:4: the value is no JSON: it ends too early/);
  });

  it("of all lengths are put together over the chunks that the file is read in", async (t) => {
    const path = join(tempFolder(t), "in.ndjson");
    const texts = Array.from({ length: 60 }, (_, n) => `${n}:${"x".repeat((n * n * 997) % 300_000)}`);
    writeFileSync(path, texts.join("\r\n"));
    await using file = await openFile(path);
    const read: string[] = [];
    for await (const { values, sizes } of readLines(file, 0, 1_000_000)) {
      for (const [index, value] of values.entries()) {
        read.push(String(value));
        assert.equal(sizes[index], (value as Buffer).length);
      }
    }
    assert.deepEqual(read, texts);
  });
});

test("an empty file is an input that has ended", async (t) => {
  for (const name of ["in.ndjson", "in.csv", "in.txt"]) {
    const { batches, error } = await readFile(t, name, "");
    assert.equal(error, undefined);
    assert.deepEqual(batches, [{ events: [], position: 0, watermark: END_OF_INPUT }]);
  }
});

describe("a line that is too long", () => {
  it("is a data error that names file, line, limit and setting, behind what came before it", async (t) => {
    const { values, error, batches } = await readFile(t, "in.ndjson", `1\n2\n${"x".repeat(101)}\n4\n`, { maxLineBytes: 100 });
    assert.deepEqual(values, ["1", "2"]);
    assert.equal(batches.at(-1)?.position, 2);
    assert.ok(error instanceof DataError);
    assert.match(error.message, /in\.ndjson:3: the line is longer than 100 bytes; raise maxLineBytes if that is meant$/);
    assert.deepEqual((await readFile(t, "in.ndjson", "x".repeat(100), { maxLineBytes: 100 })).values, ["x".repeat(100)]);
  });

  it("of 50 MB is refused by default without being held, and read when that is allowed", async (t) => {
    const record = Buffer.alloc(50_000_000, "x");
    const content = Buffer.concat([Buffer.from("1\n"), record, Buffer.from("\n3\n")]);
    const refused = await readFile(t, "in.ndjson", content);
    assert.deepEqual(refused.values, ["1"]);
    assert.match(String(refused.error), /in\.ndjson:2: the line is longer than 16777216 bytes/);
    const { batches, error } = await readFile(t, "in.ndjson", content, { maxLineBytes: 60_000_000 });
    assert.equal(error, undefined);
    assert.deepEqual(
      batches.flatMap(({ events }) => events.map(({ size }) => size)),
      [1, 50_000_000, 1],
    );
  });
});

describe("a CSV file", () => {
  it("gives rows by the names in the header, each with the line on which it ends", async (t) => {
    const { values, lines, error } = await readFile(t, "in.csv", '\uFEFFname,text\r\na,"1, ""one"""\r\n\r\nb,"two\nlines"\r\nc,\r\n');
    assert.equal(error, undefined);
    assert.deepEqual(values, [
      { name: "a", text: '1, "one"' },
      { name: "b", text: "two\nlines" },
      { name: "c", text: "" },
    ]);
    assert.deepEqual(lines, [2, 5, 6]);
  });

  it("with a broken row gives what is before it, and says what is wrong with it and where", async (t) => {
    const broken: readonly [string | Buffer, number, RegExp][] = [
      ["1,2\n3\n", 3, /another number of columns than the header/],
      ["1,2\n3,4,5\n", 3, /another number of columns than the header/],
      ['1,2\n"secret,4\n5,6\n', 4, /a quote is not closed/],
      ['1,2\n"secret"4,5\n', 3, /between a closing quote and the next comma/],
      ['1,2\nsec"ret,5\n', 3, /in the middle of a field/],
      [`1,2\n${"secret".repeat(200)},4\n`, 3, /longer than maxLineBytes/],
      [Buffer.concat([Buffer.from("1,2\n"), Uint8Array.of(0xff), Buffer.from(",2\n5,6\n")]), 3, /not UTF-8 text/],
      [Buffer.concat([Buffer.from("1,2\n3,"), Uint8Array.of(0xc3)]), 3, /not UTF-8 text/],
    ];
    for (const [rows, line, what] of broken) {
      const content = Buffer.concat([Buffer.from("a,b\n"), Buffer.from(rows)]);
      const { values, error, batches } = await readFile(t, "in.csv", content, { maxLineBytes: 1000 });
      assert.deepEqual(values, [{ a: "1", b: "2" }], String(what));
      assert.ok(error instanceof DataError, String(error));
      assert.match(error.message, new RegExp(`in\\.csv:${line}: .*${what.source}`));
      assert.doesNotMatch(error.message, /secret/);
      assert.equal(batches.at(-1)?.position, 2);
    }
  });

  it("with a column named twice is refused, since one of them would be lost", async (t) => {
    const { error } = await readFile(t, "in.csv", "a,b,a\n1,2,3\n");
    assert.match(String(error), /in\.csv:1: the header names the column "a" twice/);
  });
});

describe("a file that can't be read", () => {
  it("and is missing is waited for", async (t) => {
    const path = join(tempFolder(t), "missing.ndjson");
    const { error } = await readPath(t, { path });
    assert.ok(error instanceof NotReadyError);
    assert.equal(error.message, `the file ${path} does not exist`);
  });

  it("and is a directory is an error", async (t) => {
    const path = tempFolder(t);
    const { error } = await readPath(t, { path });
    assert.ok(error instanceof MillraceError && !(error instanceof NotReadyError));
    assert.equal(error.message, `${path} is a directory; give the path of one file`);
  });

  it("and is forbidden is an error that says what to do", async (t) => {
    const folder = tempFolder(t);
    const path = join(folder, "in.ndjson");
    writeFileSync(path, "{}\n");
    chmodSync(folder, 0o755);
    chmodSync(path, 0o000);
    const { error } = await asNobody(() => readPath(t, { path }));
    assert.ok(error instanceof MillraceError && !(error instanceof NotReadyError));
    assert.equal(error.message, `no permission to read the file ${path}: allow it to the user that Millrace runs as`);
  });

  it("since it went away before it was read is waited for", async (t) => {
    const folder = join(tempFolder(t), "sub");
    mkdirSync(folder);
    const path = join(folder, "in.ndjson");
    writeFileSync(path, "{}\n");
    const source = await fileSource({ path }).open(openContext(t), { stateful: false });
    rmSync(folder, { recursive: true });
    await assert.rejects(async () => {
      for await (const partition of source.partitions(new AbortController().signal)) for await (const _ of partition.read(undefined));
    }, NotReadyError);
  });
});

test("a file that was changed or replaced is another edition of its name, one read again is not", async (t) => {
  const folder = tempFolder(t);
  const path = join(folder, "in.text");
  const edition = async () => (await readPath(t, { path })).batches[0]?.events[0]?.origin.edition;
  writeFileSync(path, "a\n");
  const first = await edition();
  assert.equal(await edition(), first);
  writeFileSync(path, "b\n");
  const changed = await edition();
  writeFileSync(join(folder, "new"), "b\n");
  renameSync(join(folder, "new"), path);
  assert.equal(new Set([undefined, first, changed, await edition()]).size, 4);
});

test("a relative path counts from the directory of the settings", async (t) => {
  const directory = tempFolder(t);
  writeFileSync(join(directory, "in.ndjson"), "1\n");
  const source = await fileSource({ path: "in.ndjson" }).open(openContext(t, { directory }), { stateful: false });
  const values: unknown[] = [];
  for await (const partition of source.partitions(new AbortController().signal)) {
    for await (const { events } of partition.read(undefined))
      for (const { value, origin } of events) values.push(String(value), origin.name);
  }
  assert.deepEqual(values, ["1", "in.ndjson"]);
});

test("the format by the name of the file", () => {
  const formats = ["a.csv", "a.CSV", "a.ndjson", "a.jsonl", "a.json", "a.txt", "a"].map(formatOf);
  assert.deepEqual(formats, ["csv", "csv", "ndjson", "ndjson", "ndjson", "text", "text"]);
});

describe("pace", () => {
  const text = [
    { at: "2026-01-01T00:00:00Z", n: 0 },
    { at: "2026-01-01T00:00:00.500Z", n: 1 },
    { at: Date.parse("2026-01-01T00:01:00Z"), n: 2 },
    { at: "2026-01-01T00:00:30Z", n: 3 },
    { at: "2026-01-01T00:02:00Z", n: 4 },
  ]
    .map((record) => JSON.stringify(record))
    .join("\n");

  async function replay(t: TestContext, name: string, content: string, factor: number) {
    const path = join(tempFolder(t), name);
    writeFileSync(path, content);
    const clock = new VirtualClock(5000);
    const stop = new AbortController();
    const source = await fileSource({ path, pace: { by: "at", factor } }).open(openContext(t, { clock }), { stateful: false });
    const seen: [number, number][] = [];
    let empty = 0;
    const done = (async () => {
      for await (const partition of source.partitions(stop.signal)) {
        for await (const { events } of partition.read(undefined)) {
          for (const { offset } of events) seen.push([offset, clock.now() - 5000]);
          if (events.length === 0) empty += 1;
        }
      }
    })();
    return { clock, stop, seen, done, empty: () => empty };
  }

  it("replays each record as long after the first as it happened, divided by the factor", async (t) => {
    const { clock, seen, done, empty } = await replay(t, "in.ndjson", text, 10);
    await until("the first is there", () => seen.length === 1);
    for (const [after, count] of [
      [50, 2],
      [6000, 4],
      [12_000, 5],
    ] as const) {
      await until("it waits for the clock", () => clock.next !== undefined);
      while (clock.now() < 5000 + after) {
        await clock.advance(Math.min(1000, 5000 + after - clock.now()));
        await until("it has gone on", () => clock.next !== undefined || seen.length === 5);
      }
      await until(`${count} are there`, () => seen.length === count);
    }
    await done;
    assert.deepEqual(seen, [
      [0, 0],
      [1, 50],
      [2, 6000],
      [3, 6000],
      [4, 12_000],
    ]);
    assert.ok(empty() >= 10, "an idle source yields an empty batch every second");
  });

  it("ends at once when it is stopped while it waits", async (t) => {
    const { stop, seen, done } = await replay(t, "in.csv", "at,n\n0,1\n100000000,2\n", 1);
    await until("the first is there", () => seen.length === 1);
    stop.abort(new Error("stop"));
    await done;
    assert.deepEqual(seen, [[1, 0]]);
  });

  it("refuses a record without a time, naming its line and the field", async (t) => {
    const { done, seen } = await replay(t, "in.ndjson", '{"at":1}\n{"at":"secret"}\n', 1);
    await assert.rejects(done, (error: Error) => {
      assert.match(error.message, /in\.ndjson:2: pace: the field "at" must have a time/);
      return !error.message.includes("secret");
    });
    assert.deepEqual(seen, [[0, 0]]);
  });
});
