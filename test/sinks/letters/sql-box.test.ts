import assert from "node:assert/strict";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { after, test, type TestContext } from "node:test";

import { Client } from "pg";

import { NotReadyError } from "../../../src/errors.ts";
import { createTableText } from "../../../src/sinks/letters/sql-table.ts";
import { sqlSink } from "../../../src/sinks/sql.ts";
import { openContext } from "../../support/open-context.ts";
import { postgres } from "../../support/services/index.ts";
import { tempFolder } from "../../support/temp-folder.ts";

const address = await postgres();
const client = new Client({ connectionString: address });
await client.connect();
after(() => client.end());

/** Runs statements in a database of its own, and gives its address. */
async function sqlite(t: TestContext, ...statements: readonly string[]): Promise<string> {
  const path = join(tempFolder(t), "letters.sqlite");
  const db = new DatabaseSync(path);
  for (const statement of statements) db.exec(statement);
  db.close();
  return `sqlite:${path}`;
}

async function inPostgres(t: TestContext, ...statements: readonly string[]): Promise<string> {
  for (const statement of statements) await client.query(statement);
  t.after(() => client.query("DROP TABLE IF EXISTS dead_letters"));
  return address;
}

for (const [name, make] of [
  ["SQLite", sqlite],
  ["PostgreSQL", inPostgres],
] as const) {
  test(`a table in ${name} that does not fit is refused with the statement that makes one`, async (t) => {
    const openLetters = async (url: string) => await sqlSink({ url, table: "dead_letters" }).openLetters?.(openContext(t));
    const right = createTableText("dead_letters");
    const wrong = [[], ["CREATE TABLE dead_letters (id text PRIMARY KEY, task text)"], [right.replace("text PRIMARY KEY", "text")]];
    for (const statements of wrong) {
      const url = await make(t, ...statements);
      await assert.rejects(openLetters(url), (error) => error instanceof NotReadyError && error.message.includes(right));
      if (name === "PostgreSQL") await client.query("DROP TABLE IF EXISTS dead_letters");
    }
    const box = (await openLetters(await make(t, right))) ?? assert.fail("a table keeps letters");
    await box[Symbol.asyncDispose]();
  });
}
