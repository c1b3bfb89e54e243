/** No daemon is needed here: the files are checked against what Compose and the images publish of themselves. */
import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { before, test } from "node:test";

import type { ValidateFunction } from "ajv";
import { Ajv2020 } from "ajv/dist/2020.js";
import { parse } from "yaml";

import { composeSchema } from "./support/services/install.ts";

interface Service {
  readonly image?: string;
  readonly build?: string;
  readonly environment?: Readonly<Record<string, unknown>>;
  readonly depends_on?: Readonly<Record<string, { readonly condition: string }>>;
  readonly healthcheck?: { readonly test: readonly string[]; readonly retries?: number };
  readonly ports?: readonly string[];
  readonly volumes?: readonly string[];
  readonly stop_grace_period?: string;
}

interface Compose {
  readonly services: Readonly<Record<string, Service>>;
  readonly volumes: Readonly<Record<string, unknown>>;
}

const read = async (name: string): Promise<string> => await readFile(new URL(`../${name}`, import.meta.url), "utf8");

let validate: ValidateFunction;
let compose: Compose;

before(async () => {
  const schema = JSON.parse(await readFile(await composeSchema(), "utf8")) as Record<string, unknown>;
  // Its own formats (durations, ports) are not JSON Schema's; Compose checks them by itself.
  validate = new Ajv2020({ strict: false, validateFormats: false, allErrors: true }).compile(schema);
  compose = parse(await read("docker-compose.yml")) as Compose;
});

test("docker-compose.yml keeps to the published schema of Compose files", () => {
  validate(compose);
  assert.deepEqual(validate.errors ?? [], []);
});

test("the schema refuses a misspelt option", () => {
  const misspelt = structuredClone(compose) as unknown as { services: Record<string, Record<string, unknown>> };
  const { healthcheck, ...redis } = misspelt.services["redis"] ?? {};
  misspelt.services["redis"] = { ...redis, healtcheck: healthcheck };
  assert.equal(validate(misspelt), false);
});

test("each service is asked for its health, in the way of its image", async () => {
  const checks = Object.fromEntries(Object.entries(compose.services).map(([name, { healthcheck }]) => [name, healthcheck?.test.join(" ")]));
  assert.deepEqual(checks, {
    kafka: "CMD /opt/kafka/bin/kafka-broker-api-versions.sh --bootstrap-server localhost:29092",
    nats: "CMD wget --quiet --output-document=- http://localhost:8222/healthz?js-enabled-only=true",
    redis: "CMD redis-cli ping",
    postgres: "CMD pg_isready --username=millrace --dbname=millrace",
    // In its Dockerfile, so that it also holds outside of Compose.
    millrace: undefined,
  });
  assert.match(await read("Dockerfile"), /^HEALTHCHECK .*\\\n {2}CMD \["node", .*\/livez/m);
});

test("Millrace starts when all that it needs is healthy, and has the time to drain", () => {
  const { depends_on: needs = {}, stop_grace_period: grace = "10s" } = compose.services["millrace"] ?? {};
  const healthy = { condition: "service_healthy" };
  assert.deepEqual(needs, { kafka: healthy, nats: healthy, redis: healthy, postgres: healthy });
  assert.ok(Number.parseInt(grace, 10) > 20, "longer than shutdown.timeout");
});

test("Kafka sends each client on to an address that it can reach", () => {
  const { environment = {}, ports = [] } = compose.services["kafka"] ?? {};
  assert.equal(environment["KAFKA_ADVERTISED_LISTENERS"], "INSIDE://kafka:29092,OUTSIDE://localhost:${KAFKA_PORT:-9092}");
  assert.deepEqual(ports, ["127.0.0.1:${KAFKA_PORT:-9092}:9092"]);
  assert.equal(compose.services["millrace"]?.environment?.["MILLRACE_KAFKA_BROKERS"], "kafka:29092");
});

test("named volumes are declared, and no port is open to other machines", () => {
  for (const [name, { ports = [], volumes = [] }] of Object.entries(compose.services)) {
    for (const port of ports) assert.match(port, /^127\.0\.0\.1:/, name);
    for (const [volume = ""] of volumes.map((text) => text.split(":"))) {
      assert.ok(volume.startsWith("./") || Object.hasOwn(compose.volumes, volume), `${name}: ${volume}`);
    }
  }
});

test("the image is built in stages, runs as no root, and passes signals on", async () => {
  const dockerfile = await read("Dockerfile");
  const [last = ""] = dockerfile.split(/^FROM /m).slice(-1);
  assert.match(last, /^node:24-slim\n/);
  assert.match(last, /^USER node$/m);
  assert.match(last, /^ENTRYPOINT \["tini", "--"\]$/m);
  assert.match(last, /^CMD \["node", "bin\/millrace\.js", "run",/m);
  assert.doesNotMatch(last, /npm/);
});
