import type { CheckpointSettings } from "../../checkpoint-settings.ts";
import { redact, urlPasswords } from "../../secrets.ts";

/** Where checkpoints are kept and how often they are made, as one text without secrets. */
export function whereText({ interval, store }: CheckpointSettings): string {
  const often = interval % 1000 === 0 ? `${interval / 1000}s` : `${interval}ms`;
  return `every ${often}, in ${placeText(store)}`;
}

function placeText(store: CheckpointSettings["store"]): string {
  if ("file" in store) return `the folder ${store.file.path}`;
  if ("natsKv" in store) return `the NATS KV bucket ${store.natsKv.bucket}`;
  const { url } = store.redis;
  return `Redis at ${redact(url, urlPasswords(url))}`;
}
