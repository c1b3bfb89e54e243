/**
 * The one-way order of imports: what is listed first knows nothing of what comes after it. Within a layer nothing imports its
 * neighbours, except in the vocabulary and the contracts, whose files may use each other.
 */
const LAYERS: readonly (readonly string[])[] = [
  [
    "abortable",
    "bag",
    "batch",
    "broker-offsets",
    "buffer-memory",
    "checkpoint-settings",
    "checkpoint-store",
    "clock",
    "connections",
    "csv",
    "dead-letter",
    "decode-tensor",
    "duration",
    "errors",
    "folder-changes",
    "hooks",
    "inspector-flags",
    "json",
    "json-numbers",
    "model-stats",
    "near-miss",
    "on-abort",
    "result-ids",
    "secrets",
    "silence",
    "tokens",
    "tracing",
    "values",
    "version",
    "virtual-clock",
  ],
  ["contracts", "model"],
  ["shared-resources"],
  ["pipeline"],
  ["kafka", "nats", "redis", "sql"],
  ["sources", "sinks", "models", "checkpoints"],
  ["product", "config", "observability"],
  ["index", "testing", "tasks"],
  ["worker"],
  ["supervisor"],
  ["cli"],
  ["main"],
];

/** The last layer whose files may use each other. */
const CONTRACTS = 1;

/** Packages that only some parts may import, so that a change of them stays in one place. Their types may be used elsewhere. */
const HOMES: readonly { readonly packages: RegExp; readonly parts: readonly string[] }[] = [
  { packages: /^(@platformatic\/kafka|kafkajs)$/, parts: ["kafka"] },
  { packages: /^@nats-io\//, parts: ["nats"] },
  { packages: /^(@hono\/.*|hono|@opentelemetry\/.*|pino|pino-pretty)$/, parts: ["observability"] },
  { packages: /^(worker-threads-pool|undici|@grpc\/.*|onnxruntime-node)$/, parts: ["models"] },
  { packages: /^convict$/, parts: ["config"] },
  { packages: /^commander$/, parts: ["cli", "main"] },
];

/** An import of a file: `specifier` as written there. Paths are relative to the project: `src/kafka/codecs.ts`. */
export interface Import {
  readonly file: string;
  readonly line: number;
  readonly specifier: string;
  /** `type` for `import type` and `export type`, which are gone when the program runs. */
  readonly kind: "value" | "type";
}

/** All imports and re-exports in the text of a file, also those of types and those made while running. */
export function importsOf(file: string, text: string): Import[] {
  const found: Import[] = [];
  const pattern = /(?:^|[\s;}])(?:(?:import|export)\s+(type\s)?(?:[^"'();]*?\sfrom\s*)?|import\s*\(\s*)["']([^"'\n]+)["']/g;
  for (const match of withoutComments(text).matchAll(pattern)) {
    const line = text.slice(0, match.index + match[0].length).split("\n").length;
    found.push({ file, line, specifier: match[2] ?? "", kind: match[1] === undefined ? "value" : "type" });
  }
  return found;
}

/** What is wrong with an import of a file under src/, or undefined. */
export function sourceFault({ file, line, specifier, kind }: Import): string | undefined {
  const part = partOf(file);
  const layer = layerOf(part);
  const at = `${file}:${line}`;
  if (layer === -1) return `${at}: "${part}" has no place in the import order: give it one in test/import-order.ts`;
  if (!specifier.startsWith(".")) {
    const home = HOMES.find(({ packages }) => packages.test(specifier));
    const isHome = home === undefined || kind === "type" || home.parts.includes(part);
    return isHome ? undefined : `${at}: ${specifier} may be imported by ${home.parts.join(" and ")} only`;
  }
  const target = new URL(specifier, `file:///${file}`).pathname.slice(1);
  if (!target.startsWith("src/")) return `${at}: ${specifier} is outside src/`;
  const other = partOf(target);
  if (other === part || (layer <= CONTRACTS && layerOf(other) === layer)) return undefined;
  const isBelow = layerOf(other) !== -1 && layerOf(other) < layer;
  return isBelow ? undefined : `${at}: ${part} must not import ${other}, which comes after or beside it`;
}

/** What is wrong with an import of a file under products/, or undefined: a product knows Millrace by its name only. */
export function productFault({ file, line, specifier }: Import): string | undefined {
  const at = `${file}:${line}`;
  if (specifier.startsWith("node:") || specifier === "millrace") return undefined;
  if (specifier === "millrace/testing" && file.endsWith(".test.ts")) return undefined;
  if (!specifier.startsWith(".")) return `${at}: a product imports from "millrace" and node: only, not from ${specifier}`;
  const parts = file.split("/");
  // What stands beside the folders of products, as their demo, is of none of them.
  if (parts.length === 2) return specifier.startsWith("./") ? undefined : `${at}: ${specifier} is outside products/`;
  const product = parts.slice(0, 2).join("/");
  const target = new URL(specifier, `file:///${file}`).pathname.slice(1);
  return target.startsWith(`${product}/`) ? undefined : `${at}: ${specifier} is outside the product's own folder`;
}

/** `kafka` of `src/kafka/codecs.ts`, `batch` of `src/batch.ts`. */
function partOf(file: string): string {
  return (file.split("/")[1] ?? "").replace(/\.ts$/, "");
}

function layerOf(part: string): number {
  return LAYERS.findIndex((layer) => layer.includes(part));
}

/** Comments become blanks, so that lines keep their numbers. */
function withoutComments(text: string): string {
  return text.replaceAll(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, (comment) => comment.replaceAll(/[^\n]/g, " "));
}
