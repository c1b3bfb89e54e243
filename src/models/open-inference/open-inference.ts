import { createHash } from "node:crypto";

import type { ModelSpec } from "../../model.ts";
import type { Place } from "../place.ts";
import { placed } from "../place.ts";
import { loadRemote } from "./loading.ts";
import type { OpenInferenceOptions } from "./remote-model.ts";
import { remoteModel } from "./remote-model.ts";

/**
 * A model on a server that speaks the Open Inference Protocol v2, over HTTP or gRPC. Rows are numbers, text, arrays or typed arrays,
 * or objects of these by the inputs' names; so are results, by the outputs' names where there are several. 64-bit integers come as bigint.
 * @example
 * stream.infer(openInference({ url: "http://models:8000", model: "digits" }), { batch: { maxSize: 64 }, retries: 3 })
 * @throws {PlanError} when an option can't be right
 */
export function openInference<In = unknown, Out = unknown>(options: OpenInferenceOptions): ModelSpec<In, Out> {
  const remote = remoteModel(options);
  const { protocol, address, model, version, headers, binary, ...rest } = remote;
  // Headers tell models apart, since a server may give other answers to another user; keys are shown, so only their hash is in it.
  const headersHash = createHash("sha256").update(JSON.stringify(headers)).digest("hex").slice(0, 16);
  const place: Place = {
    kind: "openInference",
    description: { url: address, model, version, protocol, binary },
    key: JSON.stringify([address, model, version ?? null, binary ?? null, headersHash, rest]),
    load: (context) => loadRemote(remote, context),
  };
  return placed(place) as ModelSpec<In, Out>;
}
