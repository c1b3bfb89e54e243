import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, test, type TestContext } from "node:test";

import { DataError, MillraceError, PlannedStop } from "../../src/errors.ts";
import { fileSink, type FileSinkSettings } from "../../src/sinks/file.ts";
import { asNobody } from "../support/nobody.ts";
import { eventOf, openContext } from "../support/open-context.ts";
import { tempFolder } from "../support/temp-folder.ts";
import { until } from "../support/until.ts";

const never = new AbortController().signal;

/** Writes batches of values to a file that may have something in it, and gives the text that is there then, or the error. */
async function written(
  t: TestContext,
  name: string,
  batches: readonly (readonly unknown[])[],
  given: { readonly before?: string | Buffer; readonly settings?: Omit<FileSinkSettings, "path"> } = {},
): Promise<{ text: string; error: unknown }> {
  const path = join(tempFolder(t), "sub", name);
  if (given.before !== undefined) {
    mkdirSync(join(path, ".."));
    writeFileSync(path, given.before);
  }
  let error: unknown;
  try {
    await using sink = await fileSink({ path, ...given.settings }).open(openContext(t));
    for (const values of batches)
      await sink.write(
        values.map((value, index) => eventOf(value, index)),
        never,
      );
  } catch (thrown) {
    error = thrown;
  }
  return { text: existsSync(path) ? readFileSync(path, "utf8") : "", error };
}

describe("lines", () => {
  it("of JSON: anything as JSON, bytes and text as they are", async (t) => {
    const values = [{ a: 1 }, '{"b":2}', Buffer.from('{"c":3}'), 4, null, [5], true];
    const { text, error } = await written(t, "out.ndjson", [values]);
    assert.equal(error, undefined);
    assert.equal(text, '{"a":1}\n{"b":2}\n{"c":3}\n4\nnull\n[5]\ntrue\n');
  });

  it("of text", async (t) => {
    const { text } = await written(t, "out.txt", [["eins", Buffer.from("zwei"), 3, null]]);
    assert.equal(text, "eins\nzwei\n3\n\n");
  });

  it("stop at an event that can't be one, behind those before it, and the error tells no payload", async (t) => {
    const circle: Record<string, unknown> = { secret: "hidden" };
    circle["self"] = circle;
    for (const value of [circle, "hidden\nhidden", Buffer.from("hidden\n"), 10n, () => "hidden"]) {
      const { text, error } = await written(t, "out.ndjson", [[1, 2, value, 4]]);
      assert.equal(text, "1\n2\n");
      assert.ok(error instanceof DataError);
      assert.match(error.message, /^step "sink file" at memory test@2: the value /);
      assert.doesNotMatch(JSON.stringify([error.message, error.place]), /hidden/);
    }
  });
});

describe("what is in the file before", () => {
  it("stays, but for a last line that a crash left incomplete", async (t) => {
    assert.equal((await written(t, "out.ndjson", [[3]], { before: "1\n2\n" })).text, "1\n2\n3\n");
    assert.equal((await written(t, "out.ndjson", [[3]], { before: '1\n2\n{"a":' })).text, "1\n2\n3\n");
    assert.equal((await written(t, "out.ndjson", [[3]], { before: '{"a":' })).text, "3\n");
    const long = "x".repeat(200_000);
    assert.equal((await written(t, "out.ndjson", [[3]], { before: `1\n${long}` })).text, "1\n3\n");
  });

  it("is not cut while another process is still writing it", async (t) => {
    const path = join(tempFolder(t), "out.ndjson");
    const script = `
      const { appendFileSync } = require("node:fs");
      let parts = 0;
      const timer = setInterval(() => {
        appendFileSync(${JSON.stringify(path)}, parts === 12 ? "end\\n" : "part ");
        if (parts++ === 12) clearInterval(timer);
      }, 60);`;
    const writer = spawn(process.execPath, ["-e", script], { stdio: "inherit" });
    t.after(() => writer.kill());
    await until("it has begun", () => existsSync(path) && readFileSync(path).length > 0);
    await using sink = await fileSink({ path }).open(openContext(t));
    await sink.write([eventOf("mine", 0)], never);
    if (writer.exitCode === null) await once(writer, "exit");
    assert.equal(readFileSync(path, "utf8"), `${"part ".repeat(12)}end\nmine\n`);
  });
});

describe("CSV", () => {
  it("has a header of the fields of the first batch, and objects within as JSON", async (t) => {
    const windows = [
      { key: "a", start: 0, end: 10, count: 2, value: { total: 3 } },
      { key: 'b "quoted", x', start: 10, end: 20, count: 1, values: [1, 2], ok: true },
    ];
    const { text, error } = await written(t, "out.csv", [windows, [{ key: "c" }]]);
    assert.equal(error, undefined);
    assert.equal(
      text,
      'key,start,end,count,value,values,ok\na,0,10,2,"{""total"":3}",,\n"b ""quoted"", x",10,20,1,,"[1,2]",true\nc,,,,,,\n',
    );
  });

  it("writes the chosen columns, as paths", async (t) => {
    const settings = { columns: ["key", "value.total"] };
    const { text } = await written(t, "out.csv", [[{ key: "a", value: { total: 3, n: 1 }, other: 1 }, { key: "b" }]], { settings });
    assert.equal(text, "key,value.total\na,3\nb,\n");
  });

  it("takes the columns of a file that has some, and refuses other chosen ones", async (t) => {
    const before = "b,a\n1,2\n";
    assert.equal((await written(t, "out.csv", [[{ a: 3, b: 4 }]], { before })).text, "b,a\n1,2\n4,3\n");
    const { text, error } = await written(t, "out.csv", [[{ a: 3 }]], { before, settings: { columns: ["a"] } });
    assert.equal(text, before);
    assert.ok(error instanceof MillraceError);
    assert.match(error.message, /out\.csv has the columns b, a, not a: choose those, or another file$/);
  });

  it("refuses a value whose field would be lost, and what is no object", async (t) => {
    for (const [value, what] of [
      [{ a: 1, extra: 2 }, /no column for the field "extra"/],
      ["text", /must be an object/],
      [[1], /must be an object/],
    ] as const) {
      const { text, error } = await written(t, "out.csv", [[{ a: 1 }], [{ a: 2 }, value]]);
      assert.equal(text, "a\n1\n2\n");
      assert.match(String(error), what);
    }
  });

  it("stops at a value that no field can hold, behind those before it", async (t) => {
    for (const value of [{ deep: 1n }, new Date(Number.NaN), () => 1]) {
      const { text, error } = await written(t, "out.csv", [[{ a: 1 }, { a: 2 }, { a: value }, { a: 4 }]]);
      assert.equal(text, "a\n1\n2\n");
      assert.ok(error instanceof DataError);
      assert.match(error.message, /^step "sink file" at memory test@2: /);
    }
  });
});

describe("a file that can't be written", () => {
  it("for want of permission is an error that says what to do", async (t) => {
    const folder = tempFolder(t);
    chmodSync(folder, 0o555);
    const path = join(folder, "out.ndjson");
    await asNobody(async () => {
      await assert.rejects(fileSink({ path }).open(openContext(t)), {
        name: "MillraceError",
        message: `no permission to write the file ${path}: allow it to the user that Millrace runs as`,
      });
    });
  });

  it("since it is a directory, or would be in a file, is an error", async (t) => {
    const folder = tempFolder(t);
    writeFileSync(join(folder, "file"), "");
    await assert.rejects(fileSink({ path: folder }).open(openContext(t)), { name: "MillraceError", message: /is a directory/ });
    await assert.rejects(fileSink({ path: join(folder, "file", "out") }).open(openContext(t)), {
      name: "MillraceError",
      message: /a part of its path is a file/,
    });
  });

  it("since the disk is full is waited for, with the reason, until it is given up", async (t) => {
    const context = openContext(t);
    await using sink = await fileSink({ path: "/dev/full" }).open(context);
    const stop = new AbortController();
    const writing = sink.write([eventOf(1, 0)], stop.signal);
    const queued = sink.write([eventOf(2, 1)], stop.signal);
    await until("the reason is told", () => context.reasons.length > 0);
    assert.match(String(context.reasons[0]), /^sink file \/dev\/full: writing to \/dev\/full failed: ENOSPC/);
    assert.equal(context.lines.length, 1);
    const reason = new PlannedStop("test");
    stop.abort(reason);
    for (const write of [writing, queued]) await assert.rejects(write, (error) => error === reason);
  });
});

test("several sinks append whole lines to one file", async (t) => {
  const path = join(tempFolder(t), "out.ndjson");
  const sinks = await Promise.all([0, 1, 2].map(() => fileSink({ path }).open(openContext(t))));
  await Promise.all(
    sinks.flatMap((sink, index) =>
      Array.from({ length: 20 }, (_, n) =>
        sink.write([eventOf({ index, n, text: "x".repeat(5000) }, n), eventOf({ index, n: n + 0.5 }, n)], never),
      ),
    ),
  );
  for (const sink of sinks) await sink[Symbol.asyncDispose]();
  const lines = readFileSync(path, "utf8").trimEnd().split("\n");
  const values = lines.map((line) => JSON.parse(line) as { index: number; n: number });
  for (const index of [0, 1, 2]) {
    const own = values.filter((value) => value.index === index).map(({ n }) => n);
    assert.deepEqual(
      own,
      Array.from({ length: 40 }, (_, n) => n / 2),
    );
  }
});

describe("standard output", () => {
  const url = (path: string) => JSON.stringify(new URL(path, import.meta.url).href);
  const script = (count: number) => `
    const { fileSink } = await import(${url("../../src/sinks/file.ts")});
    const sink = await fileSink({ path: "-" }).open({ signal: new AbortController().signal });
    const events = Array.from({ length: 100 }, (_, n) => ({ value: { n, text: "x".repeat(1000) }, origin: {}, offset: n }));
    let done = 0;
    try {
      for (; done < ${count}; done++) await sink.write(events, new AbortController().signal);
      await sink[Symbol.asyncDispose]();
    } catch (error) {
      console.error(error.name, error.message);
      process.exitCode = 3;
    }`;
  const start = (t: TestContext, count: number) => {
    const child = spawn(process.execPath, ["--input-type=module", "-e", script(count)], { stdio: ["ignore", "pipe", "pipe"] });
    t.after(() => child.kill("SIGKILL"));
    return child;
  };

  it("gets every line, however slowly it is read", async (t) => {
    const child = start(t, 20);
    child.stderr.pipe(process.stderr);
    let text = "";
    for await (const chunk of child.stdout.setEncoding("utf8")) {
      text += String(chunk);
      await new Promise((resolve) => setImmediate(resolve));
    }
    const numbers = text
      .trimEnd()
      .split("\n")
      .map((line) => (JSON.parse(line) as { n: number }).n);
    assert.deepEqual(
      numbers,
      Array.from({ length: 2000 }, (_, n) => n % 100),
    );
  });

  it("that is closed by its reader is an error, not a crash", async (t) => {
    const child = start(t, 1000);
    let errors = "";
    child.stderr.setEncoding("utf8").on("data", (chunk) => (errors += String(chunk)));
    await once(child.stdout, "data");
    child.stdout.destroy();
    const [code] = (await once(child, "close")) as [number];
    assert.match(errors, /^InfrastructureError writing to standard output failed: .*EPIPE/);
    assert.equal(code, 3);
  });
});
