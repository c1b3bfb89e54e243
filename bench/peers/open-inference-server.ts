/**
 * A server that speaks the Open Inference Protocol over HTTP and does nothing: the model `noop` answers rows of 784 numbers with rows
 * of 10 zeros, in binary tensors or, asked in JSON, in JSON. Prints its port, and ends with its standard input.
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

const JSON_LENGTH = "inference-header-content-length";
const INPUT = 784;
const OUTPUT = 10;

interface Reply {
  readonly headers: Readonly<Record<string, string | number>>;
  readonly body: Buffer;
}

const replies = new Map<string, Reply>();

function replyTo(rows: number, encoding: "binary" | "json"): Reply {
  const key = `${encoding} ${rows}`;
  let reply = replies.get(key);
  if (reply === undefined) replies.set(key, (reply = makeReply(rows, encoding)));
  return reply;
}

function makeReply(rows: number, encoding: "binary" | "json"): Reply {
  const size = rows * OUTPUT * Float32Array.BYTES_PER_ELEMENT;
  const data =
    encoding === "binary" ? { parameters: { binary_data_size: size } } : { data: Array.from({ length: rows * OUTPUT }, () => 0) };
  const output = { name: "y", datatype: "FP32", shape: [rows, OUTPUT], ...data };
  const json = Buffer.from(JSON.stringify({ model_name: "noop", model_version: "1", outputs: [output] }));
  if (encoding === "json") return { headers: { "content-type": "application/json", "content-length": json.length }, body: json };
  const headers = { "content-type": "application/octet-stream", "content-length": json.length + size, [JSON_LENGTH]: json.length };
  return { headers, body: Buffer.concat([json, Buffer.alloc(size)]) };
}

const METADATA = {
  name: "noop",
  versions: ["1"],
  inputs: [{ name: "x", datatype: "FP32", shape: [-1, INPUT] }],
  outputs: [{ name: "y", datatype: "FP32", shape: [-1, OUTPUT] }],
};
const ABOUT: Readonly<Record<string, object>> = {
  "/v2": { name: "noop", version: "1", extensions: ["binary_tensor_data"] },
  "/v2/models/noop": METADATA,
  "/v2/models/noop/ready": { name: "noop", ready: true },
};

const server = createServer((request, response) => {
  const about = request.method === "GET" ? ABOUT[request.url ?? ""] : undefined;
  if (about !== undefined) {
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify(about));
    return;
  }
  let first: Buffer | undefined;
  request.on("data", (chunk: Buffer) => void (first ??= chunk));
  request.on("end", () => {
    // The type of the only input stands at the beginning.
    const rows = Number(/"shape":\[(\d+)/.exec(first?.toString("latin1", 0, 200) ?? "")?.[1] ?? 0);
    const { headers, body } = replyTo(rows, JSON_LENGTH in request.headers ? "binary" : "json");
    response.writeHead(200, headers);
    response.end(body);
  });
});
server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => console.log((server.address() as AddressInfo).port));
process.stdin.resume().on("end", () => process.exit());
