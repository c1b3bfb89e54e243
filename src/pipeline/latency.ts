import type { Position } from "../batch.ts";

/** Upper bounds of the latency buckets, in milliseconds; one more bucket holds what took longer. */
export const LATENCY_BOUNDS: readonly number[] = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000, 10_000, 30_000, 60_000];

/** How long events took from being read until all sinks had confirmed them (or a window that holds them had given its result). */
export class LatencyHistogram {
  /** Events in each bucket, not cumulated. */
  readonly counts = new Float64Array(LATENCY_BOUNDS.length + 1);
  /** Milliseconds over all events. */
  sum = 0;

  record(ms: number, events: number): void {
    let bucket = 0;
    while (bucket < LATENCY_BOUNDS.length && ms > (LATENCY_BOUNDS[bucket] as number)) bucket += 1;
    this.counts[bucket] = (this.counts[bucket] as number) + events;
    this.sum += ms * events;
  }
}

interface Reading {
  readonly position: Position;
  readonly events: number;
  readonly at: number;
}

/** Remembers when batches were read, until the position has passed them. */
export class LatencyMeter {
  readonly #histogram: LatencyHistogram;
  #readings: Reading[] = [];
  #first = 0;

  constructor(histogram: LatencyHistogram) {
    this.#histogram = histogram;
  }

  read(position: Position, events: number, now: number): void {
    // Windows can hold many batches; past that many, neighbours count as read together.
    if (this.#readings.length - this.#first >= MOST_READINGS) {
      const last = this.#readings.pop() as Reading;
      this.#readings.push({ position, events: last.events + events, at: last.at });
      return;
    }
    this.#readings.push({ position, events, at: now });
  }

  done(position: Position, now: number): void {
    while (this.#first < this.#readings.length && (this.#readings[this.#first] as Reading).position <= position) {
      const reading = this.#readings[this.#first++] as Reading;
      this.#histogram.record(now - reading.at, reading.events);
    }
    if (this.#first > 64 && this.#first * 2 > this.#readings.length) {
      this.#readings = this.#readings.slice(this.#first);
      this.#first = 0;
    }
  }
}

const MOST_READINGS = 10_000;
