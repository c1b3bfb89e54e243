import type { ModelSpec, Stream } from "millrace";
import { decode } from "millrace";

import type { Image, Reading } from "./image.ts";
import { toReading } from "./image.ts";

/**
 * Reads the pictures of a stream, keyed by their ids.
 * @param model pixels → the probabilities of the ten digits, wherever it runs
 */
export function readDigits(images: Stream<unknown>, model: ModelSpec<readonly number[], ArrayLike<number>>): Stream<Reading> {
  return images
    .map(decode.json<Image>)
    .keyBy((image) => image.id)
    .map((image) => image.pixels)
    .infer(model, { maxInFlight: 4 })
    .map((probabilities, event) => toReading(event.key ?? "", probabilities));
}
