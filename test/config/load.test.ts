import assert from "node:assert/strict";
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";

import { loadSettings, readSettings } from "../../src/config/load.ts";
import { environmentName, leaves } from "../../src/config/schema.ts";
import { originText, type LoadedSettings } from "../../src/config/settings.ts";
import { ConfigError, type Fault } from "../../src/errors.ts";
import { DEFAULT_MODEL_SETTINGS } from "../../src/model-stats.ts";

interface Given {
  /** The text of config/millrace.yaml. */
  readonly file?: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly env?: Readonly<Record<string, string>>;
  readonly sets?: readonly string[];
  readonly config?: string;
}

function folder(t: TestContext, given: Given = {}): string {
  const cwd = mkdtempSync(join(tmpdir(), "millrace-config-"));
  t.after(() => rmSync(cwd, { recursive: true }));
  mkdirSync(join(cwd, "config"));
  if (given.file !== undefined) writeFileSync(join(cwd, "config/millrace.yaml"), given.file);
  for (const [name, text] of Object.entries(given.files ?? {})) writeFileSync(join(cwd, name), text);
  return cwd;
}

function load(t: TestContext, given: Given): LoadedSettings & { readonly cwd: string } {
  const cwd = folder(t, given);
  return { ...loadSettings({ file: given.config, env: given.env ?? {}, sets: given.sets ?? [], cwd }), cwd };
}

function faultsOf(t: TestContext, given: Given): readonly Fault[] {
  try {
    load(t, given);
  } catch (error) {
    assert.ok(error instanceof ConfigError, String(error));
    return error.faults;
  }
  throw new assert.AssertionError({ message: "the settings were taken" });
}

function onlyFault(t: TestContext, given: Given): string {
  const faults = faultsOf(t, given);
  assert.equal(faults.length, 1, JSON.stringify(faults));
  return `${faults[0]?.where}: ${faults[0]?.what}`;
}

function entry(loaded: LoadedSettings, path: string): string {
  const found = loaded.entries.find((one) => one.path === path);
  assert.ok(found);
  return `${JSON.stringify(found.shown)} (${originText(found.origin)})`;
}

test("without a file, variables and flags the defaults hold", (t) => {
  const { settings, cwd } = load(t, {});
  assert.deepEqual(settings.products, [join(cwd, "products")]);
  assert.deepEqual(settings.tasks, [{ files: join(cwd, "config/tasks") }]);
  assert.equal(settings.workers, availableParallelism());
  assert.equal(settings.shutdown.timeout, 20_000);
  assert.equal(settings.worker.rssLimit, 2 * 1024 ** 3);
  assert.deepEqual(settings.kafka, { brokers: ["127.0.0.1:9092"], client: "platformatic", ssl: false, sasl: undefined });
  assert.deepEqual(settings.admin, { host: "127.0.0.1", port: 7420 });
  assert.deepEqual(settings.models, DEFAULT_MODEL_SETTINGS);
  assert.equal(settings.tracing, undefined);
  assert.equal(settings.file, undefined);
});

test("defaults < file < environment < --set, and each setting says where it came from", (t) => {
  const file = "workers: 2\nkafka:\n  client: kafkajs\n  brokers: [a:1]\nlog:\n  level: debug\n";
  const loaded = load(t, {
    file,
    env: { MILLRACE_KAFKA_BROKERS: "b:2,c:3", MILLRACE_LOG_LEVEL: "warn" },
    sets: ["log.level=error", "log.level=fatal"],
  });
  assert.equal(loaded.settings.workers, 2);
  assert.deepEqual(loaded.settings.kafka.brokers, ["b:2", "c:3"]);
  assert.equal(loaded.settings.log.level, "fatal");
  assert.equal(entry(loaded, "workers"), "2 (config/millrace.yaml:1)");
  assert.equal(entry(loaded, "kafka.client"), '"kafkajs" (config/millrace.yaml:3)');
  assert.equal(entry(loaded, "kafka.brokers"), '["b:2","c:3"] (MILLRACE_KAFKA_BROKERS)');
  assert.equal(entry(loaded, "log.level"), '"fatal" (--set)');
  assert.equal(entry(loaded, "shutdown.timeout"), '"20s" (default)');
});

test("lists are given with commas or as JSON", (t) => {
  const broker = (sets: string[]) => load(t, { sets }).settings.kafka.brokers;
  assert.deepEqual(broker(["kafka.brokers=a:1, b:2"]), ["a:1", "b:2"]);
  assert.deepEqual(broker(['kafka.brokers=["a:1","b:2"]']), ["a:1", "b:2"]);
  assert.deepEqual(broker(["kafka.brokers=[::1]:9092"].map((set) => set.replace("[::1]:9092", '["[::1]:9092"]'))), ["[::1]:9092"]);
});

test("times and sizes become milliseconds and bytes", (t) => {
  const { settings } = load(t, { sets: ["shutdown.timeout=1500ms", "worker.heartbeat=5000", "worker.rssLimit=512MiB"] });
  assert.equal(settings.shutdown.timeout, 1500);
  assert.equal(settings.worker.heartbeat, 5000);
  assert.equal(settings.worker.rssLimit, 512 * 1024 ** 2);
  assert.equal(load(t, { file: "worker:\n  rssLimit: null\n" }).settings.worker.rssLimit, undefined);
});

test("models may be kept in the worker, and not without threads altogether", (t) => {
  const { settings } = load(t, { sets: ["models.parallelWorkers=0", "models.maxThreads=4"] });
  assert.deepEqual(settings.models, { maxThreads: 4, parallelWorkers: 0 });
  assert.match(onlyFault(t, { sets: ["models.maxThreads=0"] }), /must be a whole number from 1 to 1024, not 0/);
});

test("an endpoint turns tracing on, also by OpenTelemetry's own variable, which Millrace's own outdoes", (t) => {
  const tracing = (given: Given) => load(t, given).settings.tracing;
  assert.equal(tracing({ sets: ["tracing.sample=0.5"] }), undefined);
  assert.deepEqual(tracing({ file: "tracing: {endpoint: 'http://c:4318', sample: 0.1}\n" }), { endpoint: "http://c:4318", sample: 0.1 });
  const env = { OTEL_EXPORTER_OTLP_ENDPOINT: "http://otel:4318" };
  assert.deepEqual(tracing({ env }), { endpoint: "http://otel:4318", sample: 1 });
  assert.equal(entry(load(t, { env }), "tracing.endpoint"), '"http://otel:4318" (OTEL_EXPORTER_OTLP_ENDPOINT)');
  assert.equal(tracing({ env: { ...env, MILLRACE_TRACING_ENDPOINT: "http://own:1" } })?.endpoint, "http://own:1");
  const loaded = load(t, { sets: ["tracing.endpoint=https://me:hunter2@c:4318"] });
  assert.deepEqual(loaded.secrets, ["hunter2"]);
  assert.equal(entry(loaded, "tracing.endpoint"), '"https://me:[secret]@c:4318" (--set)');
  assert.match(
    onlyFault(t, { env: { OTEL_EXPORTER_OTLP_ENDPOINT: "grpc://c:4317" } }),
    /^OTEL_EXPORTER_OTLP_ENDPOINT: tracing\.endpoint: must be a URL that begins with http:\/\/ or https:\/\//,
  );
  assert.match(onlyFault(t, { sets: ["tracing.sample=2"] }), /must be a number from 0 to 1, not 2/);
});

test("relative paths in the settings file count from it, others from the current directory", (t) => {
  const fromFile = load(t, { file: "products: ../mine\ntasks: [{files: tasks}, {sql: {url: 'sqlite:t.db', query: select 1}}]\n" });
  assert.deepEqual(fromFile.settings.products, [join(fromFile.cwd, "mine")]);
  assert.deepEqual(fromFile.settings.tasks, [
    { files: join(fromFile.cwd, "config/tasks") },
    { sql: { url: `sqlite:${join(fromFile.cwd, "config/t.db")}`, query: "select 1", every: 10_000 } },
  ]);
  const fromFlag = load(t, { file: "workers: 1\n", sets: ["products=a,b"], env: { MILLRACE_TASKS: "here" } });
  assert.deepEqual(fromFlag.settings.products, [join(fromFlag.cwd, "a"), join(fromFlag.cwd, "b")]);
  assert.deepEqual(fromFlag.settings.tasks, [{ files: join(fromFlag.cwd, "here") }]);
});

test("a Redis store takes redis.url when it has none of its own", (t) => {
  const { settings } = load(t, { sets: ["redis.url=redis://r:1", 'tasks={"redis":{"key":"mine"}}'] });
  assert.deepEqual(settings.tasks, [{ redis: { url: "redis://r:1", key: "mine", every: 5000 } }]);
});

test("another file by --config or MILLRACE_CONFIG", (t) => {
  const files = { "other.json": '{"workers": 7}' };
  assert.equal(load(t, { files, config: "other.json" }).settings.workers, 7);
  assert.equal(load(t, { files, env: { MILLRACE_CONFIG: "other.json" } }).settings.workers, 7);
  assert.match(onlyFault(t, { config: "none.yaml" }), /^none\.yaml: the settings file can't be read: there is no such file$/);
});

test("an empty settings file is one without settings", (t) => {
  assert.equal(load(t, { file: "# nothing\n" }).settings.kafka.client, "platformatic");
});

test("everything that is wrong is named, with its place", (t) => {
  const faults = faultsOf(t, {
    file: "workers: many\nkafka:\n  broker: [a:1]\n  client: kafka\ntasks:\n  - files: tasks\n  - sql: {url: 'mysql://x', evry: 3s}\n",
    env: { MILLRACE_ADMIN_PORT: "99999", MILLRACE_KAFKA_BROKER: "x:1" },
    sets: ["shutdown.timeout=soon", "worker=2"],
  });
  assert.deepEqual(
    faults.map(({ where, what }) => `${where}: ${what}`),
    [
      'config/millrace.yaml:3: "kafka.broker" is no setting. Did you mean "kafka.brokers"?',
      'MILLRACE_KAFKA_BROKER: there is no setting with this environment variable. Did you mean "MILLRACE_KAFKA_BROKERS"?',
      "--set worker: is a group of settings: set one of worker.heartbeat, worker.startTimeout, worker.rssLimit",
      'config/millrace.yaml:1: workers: must be a whole number from 1 to 1024, not "many"',
      'config/millrace.yaml:4: kafka.client: must be one of platformatic, kafkajs, not "kafka"',
      'config/millrace.yaml:7: tasks[1].sql.evry: is unknown. Did you mean "every"?',
      'config/millrace.yaml:7: tasks[1].sql.url: must be a URL that begins with postgres:// or postgresql://, or sqlite:PATH, not "mysql://x"',
      "config/millrace.yaml:7: tasks[1].sql: needs query: an SQL query whose rows are tasks",
      "MILLRACE_ADMIN_PORT: admin.port: must be a whole number from 0 to 65535, not 99999",
      '--set shutdown.timeout: must be a duration (milliseconds, or a number with a unit: "500ms", "10s", "5m", "1h", "7d"), not "soon"',
    ].toSorted((a, b) => faults.findIndex((f) => a.startsWith(f.where)) - faults.findIndex((f) => b.startsWith(f.where))),
  );
});

test("broken YAML is named with line and column", (t) => {
  assert.match(onlyFault(t, { file: "workers: 2\nkafka: [a\nlog: x\n" }), /^config\/millrace\.yaml:\d+:\d+: broken YAML: /);
  assert.match(onlyFault(t, { file: "workers: 2\nworkers: 3\n" }), /^config\/millrace\.yaml:2:1: broken YAML: Map keys must be unique/);
  assert.match(onlyFault(t, { file: "- a\n" }), /^config\/millrace\.yaml:1: a settings file is a map/);
});

for (const [broker, right] of [
  ["kafka", false],
  ["kafka:0", false],
  ["kafka:99999", false],
  ["http://kafka:9092", false],
  ["ka fka:9092", false],
  ["::1:9092", false],
  ["[::1]:9092", true],
  ["my_kafka-1.internal:9092", true],
  ["10.0.0.1:9092", true],
] as const) {
  test(`${broker} is ${right ? "a" : "no"} broker address`, (t) => {
    const given = { file: `kafka: {brokers: ["${broker}"]}\n` };
    if (right) assert.deepEqual(load(t, given).settings.kafka.brokers, [broker]);
    else assert.match(onlyFault(t, given), /kafka\.brokers\[0\]: must be an address in the form "host:port", not /);
  });
}

test("words are not taken for numbers or true", (t) => {
  assert.match(onlyFault(t, { sets: ["workers=12x"] }), /must be a whole number/);
  assert.match(onlyFault(t, { sets: ["workers=0"] }), /from 1 to 1024, not 0/);
  assert.match(onlyFault(t, { sets: ["kafka.ssl=maybe"] }), /must be true or false, not "maybe"/);
  assert.match(onlyFault(t, { sets: ["kafka.brokers="] }), /has no value/);
  assert.match(onlyFault(t, { file: "kafka: 3\n" }), /kafka: must be a map with brokers/);
  assert.match(onlyFault(t, { file: "workers:\n" }), /workers: has no value/);
  assert.match(onlyFault(t, { file: "workers: {a: 1}\n" }), /workers: must be a whole number/);
});

test("a name that would change an object's prototype is an unknown setting", (t) => {
  assert.match(onlyFault(t, { file: "__proto__: {workers: 1}\n" }), /"__proto__" is no setting/);
  assert.match(onlyFault(t, { sets: ["constructor.prototype.x=1"] }), /is no setting/);
  assert.equal(({} as Record<string, unknown>)["workers"], undefined);
});

test("kafka.ssl: true is short for the system's authorities; files are read", (t) => {
  assert.equal(load(t, { file: "kafka: {ssl: true}\n" }).settings.kafka.ssl, true);
  assert.equal(load(t, { env: { MILLRACE_KAFKA_SSL: "true" } }).settings.kafka.ssl, true);
  assert.match(
    onlyFault(t, { file: "kafka:\n  ssl:\n    ca: none.pem\n" }),
    /^config\/millrace\.yaml:3: kafka\.ssl\.ca: the file can't be read: ENOENT/,
  );
  assert.match(onlyFault(t, { files: { "ca.pem": "nonsense" }, sets: ["kafka.ssl.ca=ca.pem"] }), /ca\.pem holds no PEM "CERTIFICATE"/);
});

test("a login needs all of its parts", (t) => {
  const faults = faultsOf(t, { sets: ["kafka.sasl.username=me"] });
  assert.deepEqual(
    faults.map((fault) => fault.what),
    ["needs kafka.sasl.mechanism beside it", "needs kafka.sasl.password beside it"],
  );
});

test("secrets are used and never shown", (t) => {
  const loaded = load(t, {
    file: [
      "redis: {url: 'redis://:hunter2@r:6379'}",
      "kafka:",
      "  sasl: {mechanism: plain, username: '${file:user.txt}'}",
      "nats: {servers: ['nats://me:geheim@n:4222']}",
      "tasks: [{sql: {url: 'postgres://u:p4ssw0rd@db/x', query: select 1}}]",
    ].join("\n"),
    files: { "config/user.txt": "millrace-user\n", "password.txt": "from-a-file\n" },
    env: { MILLRACE_KAFKA_SASL_PASSWORD_FILE: "password.txt" },
  });
  assert.deepEqual(loaded.settings.kafka.sasl, { mechanism: "plain", username: "millrace-user", password: "from-a-file" });
  assert.equal(loaded.settings.redis.url, "redis://:hunter2@r:6379");
  const shown = JSON.stringify(loaded.entries);
  for (const secret of ["hunter2", "millrace-user", "from-a-file", "geheim", "p4ssw0rd"]) {
    assert.ok(!shown.includes(secret), `${secret} is shown`);
    assert.ok(loaded.secrets.includes(secret), `${secret} is not known as a secret`);
  }
  assert.equal(entry(loaded, "kafka.sasl.password"), '"[secret]" (MILLRACE_KAFKA_SASL_PASSWORD_FILE)');
  assert.equal(entry(loaded, "kafka.sasl.username"), '"[secret]" (config/millrace.yaml:3)');
  assert.equal(entry(loaded, "redis.url"), '"redis://:[secret]@r:6379" (config/millrace.yaml:1)');
  assert.match(loaded.warnings.map(({ what }) => what).join(), /plain sends the password/);
});

test("a fault does not show the secret that is at fault", (t) => {
  const text = faultsOf(t, {
    file: [
      "redis: {url: 'http://:hunter2@r:1'}",
      "kafka: {client: '${file:long.txt}', sasl: {password: [s3cr3t]}, brokers: ['${file:b.txt}']}",
      "tasks: [{sql: {url: '${file:long.txt}', query: select 1}}]",
    ].join("\n"),
    files: { "config/b.txt": "hidden place", "config/long.txt": "abcdefghij".repeat(20) },
  })
    .map(({ what }) => what)
    .join("\n");
  assert.match(text, /redis\.url: must be a URL/);
  assert.match(text, /kafka\.sasl\.password: must be/);
  assert.match(text, /kafka\.brokers\[0\]: must be/);
  assert.match(text, /kafka\.client: must be one of platformatic, kafkajs, not 202 characters/);
  assert.doesNotMatch(text, /hunter2|s3cr3t|hidden place|abcdefghij/);
});

test("a reference to nothing is a fault", (t) => {
  assert.match(
    onlyFault(t, { file: "log: {level: debug}\nredis:\n  url: ${env:MILLRACE_TEST_NOT_SET}\n" }),
    /^config\/millrace\.yaml:3: redis\.url: \$\{env:MILLRACE_TEST_NOT_SET\}: the environment variable MILLRACE_TEST_NOT_SET is not set$/,
  );
});

test("a variable and its _FILE can't both be given", (t) => {
  const env = { MILLRACE_REDIS_URL: "redis://a", MILLRACE_REDIS_URL_FILE: "x" };
  assert.match(onlyFault(t, { env }), /MILLRACE_REDIS_URL gives redis\.url as well/);
});

test("variables of tests and of Kubernetes services are not ours; empty ones are not set", (t) => {
  const { settings } = load(t, {
    env: {
      MILLRACE_TEST_KAFKA: "x",
      MILLRACE_SERVICE_HOST: "10.0.0.1",
      MILLRACE_SERVICE_PORT_ADMIN: "7420",
      MILLRACE_PORT: "tcp://10.0.0.1:7420",
      MILLRACE_PORT_7420_TCP_ADDR: "10.0.0.1",
      MILLRACE_ADMIN_PORT: "tcp://10.0.0.1:80",
      MILLRACE_WORKERS: "",
    },
  });
  assert.equal(settings.admin.port, 7420);
  assert.equal(settings.workers, availableParallelism());
});

test("a back-off can't begin above its end", (t) => {
  assert.match(onlyFault(t, { sets: ["restart.min=2m"] }), /--set restart\.min: restart\.min must be at most restart\.max/);
});

test("a settings file that may not be read is named", (t) => {
  const cwd = folder(t, { file: "workers: 1\n" });
  chmodSync(join(cwd, "config/millrace.yaml"), 0);
  const isRoot = process.geteuid?.() === 0;
  // Root may read everything: try as nobody.
  if (isRoot) process.seteuid?.(65_534);
  t.after(() => isRoot && process.seteuid?.(0));
  const [fault] = readSettings({ file: join(cwd, "config/millrace.yaml"), env: {}, sets: [], cwd }).faults;
  if (isRoot) process.seteuid?.(0);
  assert.deepEqual(fault, { where: "config/millrace.yaml", what: "the settings file can't be read: permission denied" });
});

test("with some settings wrong, the others are read and the wrong ones have their default", (t) => {
  const cwd = folder(t, { file: "workers: many\nlog: {level: debug}\n" });
  const { settings, faults, faulty } = readSettings({ env: {}, sets: [], cwd });
  assert.equal(faults.length, 1);
  assert.deepEqual([...(faulty ?? [])], ["workers"]);
  assert.equal(settings.workers, availableParallelism());
  assert.equal(settings.log.level, "debug");
});

test("every setting has a description, a default that is valid, and a variable of its own", (t) => {
  load(t, {});
  const names = [...leaves.keys()].map(environmentName);
  assert.equal(new Set(names).size, names.length);
  assert.equal(environmentName("worker.rssLimit"), "MILLRACE_WORKER_RSS_LIMIT");
  for (const [path, { doc }] of leaves) assert.match(doc, /^.{10,}\.$/, path);
});
