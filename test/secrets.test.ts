import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";

import { hasReference, maskUrl, redact, resolveReferences, urlPasswords } from "../src/secrets.ts";

test("references are replaced at any depth, and what they stood for is listed", (t) => {
  const folder = mkdtempSync(join(tmpdir(), "millrace-secrets-"));
  t.after(() => rmSync(folder, { recursive: true }));
  writeFileSync(join(folder, "password"), "from-a-file\n");
  process.env["MILLRACE_TEST_SECRET"] = "hunter22";
  t.after(() => delete process.env["MILLRACE_TEST_SECRET"]);

  const resolved = resolveReferences(
    { url: "postgres://me:${env:MILLRACE_TEST_SECRET}@db/x", list: [1, "${file:password}", null], plain: "$env ${other:x}" },
    folder,
  );
  assert.deepEqual(resolved.value, { url: "postgres://me:hunter22@db/x", list: [1, "from-a-file", null], plain: "$env ${other:x}" });
  assert.deepEqual([...resolved.secrets].toSorted(), ["from-a-file", "hunter22"]);
  assert.deepEqual(resolved.faults, []);
});

test("what can't be resolved is named with its path, all of it", () => {
  const resolved = resolveReferences({ a: { b: ["${env:MILLRACE_NOT_SET}"] }, c: "${file:no/such/file}", d: "${env:}" }, "/tmp");
  assert.deepEqual(
    resolved.faults.map((fault) => fault.path),
    [["a", "b", 0], ["c"], ["d"]],
  );
  assert.match(resolved.faults[0]?.what ?? "", /\$\{env:MILLRACE_NOT_SET\}: the environment variable MILLRACE_NOT_SET is not set/);
  assert.match(resolved.faults[1]?.what ?? "", /ENOENT.*\/tmp\/no\/such\/file/);
});

test("a reference to something that is no plain file is refused", () => {
  const resolved = resolveReferences("${file:/dev/zero}", "/");
  assert.match(resolved.faults[0]?.what ?? "", /\/dev\/zero is no file/);
});

test("a key __proto__ does not change a prototype", () => {
  const resolved = resolveReferences(JSON.parse('{"__proto__": {"admin": true}, "x": "y"}'), "/").value as object;
  assert.equal(Object.getPrototypeOf(resolved), Object.prototype);
  assert.equal(Reflect.get(resolved, "admin"), undefined);
});

test("references are found in texts", () => {
  assert.equal(hasReference("a ${env:B} c"), true);
  assert.equal(hasReference("a ${file:/b} c"), true);
  assert.equal(hasReference("${other}"), false);
});

const urls: readonly (readonly [string, string])[] = [
  ["postgres://me:secret@db:5432/x", "postgres://me:[secret]@db:5432/x"],
  ["redis://:secret@cache", "redis://:[secret]@cache"],
  ["redis://cache:6379/0", "redis://cache:6379/0"],
  ["postgres://me@db/x", "postgres://me@db/x"],
  ["at postgres://me:p@ss/w:rd@db/x, and more", "at postgres://me:[secret]@db/x, and more"],
  ["nats://a:4222,nats://me:secret@b:4222", "nats://a:4222,nats://me:[secret]@b:4222"],
  ["nats://token@b:4222", "nats://[secret]@b:4222"],
  ["postgres://db/x?user=me&password=secret&a=b", "postgres://db/x?user=me&password=[secret]&a=b"],
];
for (const [url, masked] of urls) test(`the password of ${masked} is hidden`, () => assert.equal(maskUrl(url), masked));

test("passwords of URLs are found at any depth, as written and decoded", () => {
  assert.deepEqual(urlPasswords({ a: ["postgres://me:p%40ss@db", 1], b: "redis://cache" }), ["p%40ss", "p@ss"]);
});

test("secrets are hidden wherever they stand: bare, in JSON, in a URL", () => {
  const secret = 'a"b/c';
  assert.equal(
    redact(`bare a"b/c, json {"x":"a\\"b/c"}, url ?q=a%22b%2Fc`, [secret]),
    'bare [secret], json {"x":"[secret]"}, url ?q=[secret]',
  );
  assert.equal(redact("nothing to hide: http://u:pw@h", []), "nothing to hide: http://u:[secret]@h");
});

test("a short secret is hidden only where it stands alone", () => {
  assert.equal(redact("line 100, value 1", ["1"]), "line 100, value [secret]");
});

test("of secrets within each other the longer one is hidden first", () => {
  assert.equal(redact("hunter22", ["hunter", "hunter22"]), "[secret]");
});
