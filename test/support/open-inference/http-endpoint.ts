import { once } from "node:events";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

import { messageOf } from "../../../src/errors.ts";
import type { Datatype, Tensor, TensorType } from "../../../src/models/tensors/tensor.ts";
import type { Instead, ServerState } from "./served.ts";
import { answerOf } from "./served.ts";
import { dataOf, elementsOf, fromBytes, toBytes } from "./wire.ts";

const JSON_LENGTH = "inference-header-content-length";

interface JsonRequest {
  readonly inputs: readonly {
    readonly name: string;
    readonly datatype: Datatype;
    readonly shape: readonly number[];
    readonly data?: readonly unknown[];
    readonly parameters?: { readonly binary_data_size?: number };
  }[];
  readonly outputs?: readonly { readonly name: string; readonly parameters?: { readonly binary_data?: boolean } }[];
  readonly parameters?: { readonly binary_data_output?: boolean };
}

/** The protocol's HTTP form, with the binary tensor extension. */
export class HttpEndpoint implements AsyncDisposable {
  readonly #state: ServerState;
  readonly #server: Server;

  static async listen(state: ServerState, port: number): Promise<HttpEndpoint> {
    const endpoint = new HttpEndpoint(state);
    endpoint.#server.listen(port, "127.0.0.1");
    await once(endpoint.#server, "listening");
    return endpoint;
  }

  private constructor(state: ServerState) {
    this.#state = state;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error: unknown) => send(response, 500, { error: messageOf(error) }));
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { model, extensions, ready } = this.#state;
    const chunks: Buffer[] = [];
    for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk);
    const path = request.url ?? "";
    if (path === "/v2") return send(response, 200, { name: "test", version: "1", extensions });
    const match = /^\/v2\/models\/([^/]+)(?:\/versions\/([^/]+))?(\/ready|\/infer)?$/.exec(path);
    const [, name = "", version, what] = match ?? [];
    if (decodeURIComponent(name) !== model.name || (version !== undefined && version !== model.version))
      return send(response, 404, { error: `Model ${name} not found` });
    if (what === "/ready") return send(response, ready ? 200 : 400, { name: model.name, ready });
    if (what === undefined) {
      const versions = model.version === undefined ? undefined : [model.version];
      return send(response, 200, {
        name: model.name,
        versions,
        platform: "test",
        inputs: metadata(model.inputs),
        outputs: metadata(model.outputs),
      });
    }
    await this.#infer(request, Buffer.concat(chunks), response);
  }

  async #infer(request: IncomingMessage, body: Buffer, response: ServerResponse): Promise<void> {
    const { headers } = request;
    const length = headers[JSON_LENGTH];
    let at = length === undefined ? body.length : Number(length);
    const { inputs: given, outputs: wanted, parameters } = JSON.parse(body.toString("utf8", 0, at), exactly) as JsonRequest;
    const inputs = given.map(({ name, datatype, shape, data = [], parameters }): Tensor => {
      const size = parameters?.binary_data_size;
      if (size === undefined) return { name, datatype, shape, data: dataOf(datatype, data.flat(9)) };
      at += size;
      return { name, datatype, shape, data: fromBytes(datatype, body.subarray(at - size, at)) };
    });
    const asked = { inputs, headers, encoding: length === undefined ? ("json" as const) : ("binary" as const) };
    this.#state.asked.push(asked);
    const misdeed = this.#state.misdeed();
    if (misdeed !== undefined && misdeed.how !== "changes" && misdeed.how !== "truncates") return this.#misbehave(misdeed, response);
    let outputs: readonly Tensor[];
    try {
      outputs = await answerOf(this.#state, asked, misdeed);
    } catch (error) {
      return send(response, 400, { error: messageOf(error) });
    }
    const isBinary = (name: string): boolean =>
      parameters?.binary_data_output === true || wanted?.find((output) => output.name === name)?.parameters?.binary_data === true;
    const { json, raws } = replyOf(this.#state, outputs, isBinary);
    const whole = Buffer.concat([json, ...raws]);
    const reply = misdeed?.how === "truncates" ? whole.subarray(0, Math.floor(json.length / 2)) : whole;
    const type =
      raws.length === 0
        ? { "content-type": "application/json" }
        : { "content-type": "application/octet-stream", [JSON_LENGTH]: json.length };
    response.writeHead(200, { ...type, "content-length": reply.length });
    response.end(reply);
  }

  #misbehave(misdeed: Instead, response: ServerResponse): void {
    switch (misdeed.how) {
      case "refuses":
        for (const [name, value] of Object.entries(misdeed.headers ?? {})) response.setHeader(name, value);
        return send(response, misdeed.status, { error: misdeed.message ?? "refused" });
      case "floods":
        return this.#flood(response, misdeed.bytes);
      case "never ends":
        response.writeHead(200, { "content-type": "application/json" });
        response.write('{"outputs":[');
        return;
      case "hangs up":
        response.destroy();
        return;
      case "says":
        response.writeHead(200, { "content-type": misdeed.type });
        response.end(misdeed.body);
    }
  }

  /** Without its length, so that whoever reads has to count. */
  #flood(response: ServerResponse, bytes: number): void {
    const chunk = Buffer.alloc(64 * 1024, " ");
    let left = bytes;
    const more = () => {
      while (left > 0 && !response.destroyed) {
        left -= chunk.length;
        this.#state.flooded += chunk.length;
        if (!response.write(chunk)) {
          response.once("drain", more);
          return;
        }
      }
      response.end();
    };
    response.writeHead(200, { "content-type": "application/json" });
    more();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function replyOf(
  { model }: ServerState,
  outputs: readonly Tensor[],
  isBinary: (name: string) => boolean,
): { json: Buffer; raws: readonly Buffer[] } {
  const raws: Buffer[] = [];
  const told = outputs.map((output) => {
    const { name, datatype, shape } = output;
    if (!isBinary(name)) return { name, datatype, shape, data: elementsOf(output) };
    const raw = toBytes(output);
    raws.push(raw);
    return { name, datatype, shape, parameters: { binary_data_size: raw.length } };
  });
  const json = { model_name: model.name, model_version: model.version, outputs: told };
  return { json: Buffer.from(JSON.stringify(json, bigintsAsNumbers)), raws };
}

/** Not in the library's types yet. */
interface RawJson {
  rawJSON(text: string): unknown;
}

/** What a number would round is a bigint. */
function exactly(_key: string, value: unknown, context?: { readonly source?: string }): unknown {
  const source = context?.source ?? "";
  return typeof value === "number" && /^-?\d{16,}$/.test(source) ? BigInt(source) : value;
}

/** A 64-bit integer is written in JSON with all its digits. */
function bigintsAsNumbers(_key: string, value: unknown): unknown {
  return typeof value === "bigint" ? (JSON as unknown as RawJson).rawJSON(String(value)) : value;
}

function metadata(tensors: readonly TensorType[]) {
  return tensors.map(({ name, datatype, shape }) => ({ name, datatype, shape: [-1, ...shape.map((size) => size ?? -1)] }));
}

function send(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}
