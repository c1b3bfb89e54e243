import { messageOf, RefusedError, shortened } from "../../errors.ts";
import { decode } from "../../values.ts";
import type { HttpReply, HttpRequests } from "./options.ts";
import { refusedBy } from "./refused.ts";

/** How much of a reply is shown in an error, in characters. */
const SHOWN = 200;

/** A reply that came whole. */
export class WholeReply implements HttpReply {
  readonly status: number;
  readonly headers: HttpReply["headers"];
  readonly bytes: Buffer;

  constructor(status: number, headers: HttpReply["headers"], bytes: Buffer) {
    this.status = status;
    this.headers = headers;
    this.bytes = bytes;
  }

  text(): string {
    return this.bytes.toString("utf8");
  }

  json(): unknown {
    return decode.json(this.bytes);
  }

  /** Its beginning, for people. */
  shown(): string {
    if (this.bytes.length === 0) return "nothing";
    const text = this.bytes.subarray(0, SHOWN * 4).toString("utf8");
    return JSON.stringify(shortened(text.trim(), SHOWN));
  }
}

/**
 * What a reply stands for.
 * @param shown names the request
 * @throws {RefusedError} when it is no JSON and should be, or a product's function threw
 */
export function resultOf(how: HttpRequests["reply"], reply: WholeReply, shown: string, value: unknown, event: unknown): unknown {
  if (typeof how === "function") {
    try {
      return how(reply, value, event);
    } catch (error) {
      throw refusedBy(error, `${shown}: its reply could not be read`);
    }
  }
  if (how === "text") return reply.text();
  if (how === "bytes") return reply.bytes;
  // 204 and 205 say that there is no content.
  if (reply.bytes.length === 0 && (reply.status === 204 || reply.status === 205)) return null;
  try {
    return reply.json();
  } catch (error) {
    const type = reply.headers["content-type"];
    const what = `${shown}: answered ${reply.status} with ${typeof type === "string" ? type : "a body"} that is no JSON: ${messageOf(error)}`;
    throw new RefusedError(`${shortened(what, 2 * SHOWN)}; it begins with ${reply.shown()}`, { cause: error });
  }
}
