import type { Event, EventHeaders } from "../../batch.ts";
import type { ModelIdentity } from "../../model-stats.ts";
import { MODEL_HEADER } from "../../model.ts";

/** The headers of results whose records had none, by what answered: most share one. */
const headersOf = new WeakMap<ModelIdentity, EventHeaders>();

/** Names what answered as the header does: `digits@3`. */
export function nameOf({ name, version }: ModelIdentity): string {
  return `${name}@${version}`;
}

/** Notes in the event's headers what answered. */
export function markAnswered(event: Event, identity: ModelIdentity): void {
  let own = headersOf.get(identity);
  if (own === undefined) {
    own = Object.freeze([Object.freeze([MODEL_HEADER, nameOf(identity)] as const)]);
    headersOf.set(identity, own);
  }
  event.headers = event.headers === undefined ? own : [...event.headers, ...own];
}
