/**
 * What the compiler must accept and refuse; checked by tsc, never run. A mistake is one error, at its own line.
 */
import type { Event, ModelConfig, SinkSpec, SourceSpec } from "millrace";
import { count, from, http, mean, model, moduleFunction, onnx, session, sink, source, sum, tumbling, worker } from "millrace";

import type tenfold from "./models/functions/enrich.ts";
import type double from "./models/products/double.ts";

interface Reading {
  device: string;
  at: number;
  celsius: number;
}

declare const readings: SourceSpec<Reading>;
declare const anywhere: SinkSpec;

const stream = from(readings);

stream.map((reading) => reading.celsius).map((celsius: number) => celsius + 1);
// @ts-expect-error: a field that a reading does not have
stream.keyBy((reading) => reading.devise);
// @ts-expect-error: text is no event time
stream.timeBy((reading) => reading.device);
// @ts-expect-error: a misspelt option
stream.mapAsync(async (reading) => reading.celsius, { retires: 3 });
// @ts-expect-error: the model takes numbers, not readings
stream.infer(async (numbers: readonly number[]) => numbers);
stream
  .map((reading) => reading.celsius)
  .infer(worker<typeof double>("file:///double.ts"))
  .map((doubled: number) => doubled + 1);
// @ts-expect-error: the model takes numbers, not readings
stream.infer(worker<typeof double>("file:///double.ts"));
declare const place: ModelConfig;
stream
  .map((reading) => reading.celsius)
  .infer(model<typeof double>(place, "file:///double.ts"))
  .map((doubled: number) => doubled + 1);
// @ts-expect-error: the model takes numbers, not readings
stream.infer(model<typeof double>(place, "file:///double.ts"));
stream
  .map((reading) => [reading.celsius])
  .infer(onnx<readonly number[], Float32Array>("model.onnx", { place: "process", processes: 2, warmUp: [[20]] }))
  .map((scores) => scores.at(0)?.toFixed());
// @ts-expect-error: the model takes arrays of numbers, not readings
stream.infer(onnx<readonly number[], Float32Array>("model.onnx"));
const celsius = stream.map((reading) => reading.celsius);
const doubled = worker<typeof double>("file:///double.ts");
celsius
  .infer(doubled, {
    shadow: {
      model: (rows) => rows.map((row) => row.toFixed()),
      to: anywhere,
      differs: (first, second) => first.toFixed() !== second.trim(),
    },
    canary: { model: (rows) => rows.map((row) => row * 2), share: 0.1 },
    fallback: { value: (input, error) => (error instanceof Error ? input : 0), after: "200ms" },
  })
  .map((value: number) => value.toFixed());
celsius.infer(async (rows) => rows.map(String), { fallback: { model: async (rows) => rows.map((row) => row.toFixed()) } });
// @ts-expect-error: the fallback gives text where the model gives a number
celsius.infer(doubled, { fallback: { value: "none" } });
// @ts-expect-error: the canary gives text where the model gives a number
celsius.infer(doubled, { canary: { model: (rows) => rows.map(String), share: 0.1 } });
// @ts-expect-error: the canary takes readings, not numbers
stream.infer(async (rows) => rows.map((row) => row.celsius), { canary: { model: doubled, share: 0.1 } });
// @ts-expect-error: no sink
stream.to("output");
// @ts-expect-error: with fullEvent the function gets the event
stream.mapAsync(async (event) => event.celsius, { fullEvent: true });
// @ts-expect-error: with fullEvent the function returns an event
stream.mapAsync(async (event) => event.value.celsius, { fullEvent: true });
// @ts-expect-error: there is a context only with passContext
stream.mapAsync(async (_, context) => context.attempt);
stream.infer(async (rows) => rows.map((row) => row.celsius), {
  maxInFlight: 2,
  // @ts-expect-error: a misspelt option, on a line of its own
  retires: 3,
});

stream
  .deduplicate((reading) => reading.device, { within: "10m", per: "key" })
  .deduplicate((reading, event) => `${reading.at} ${event.key}`, { count: 1000 })
  .map((reading) => reading.celsius.toFixed());
// @ts-expect-error: no id
stream.deduplicate((reading) => reading, { count: 10 });
// @ts-expect-error: a misspelt option
stream.deduplicate((reading) => reading.at, { counts: 10 });

const folded = stream.window(tumbling("10s"), {
  fold: { total: sum((reading) => reading.celsius), n: count(), average: mean((r) => r.celsius) },
});
folded.map((window) => window.value.total + window.value.n + window.value.average);
// @ts-expect-error: the fold has no such field
folded.map((window) => window.value.sum);
// @ts-expect-error: a field that a reading does not have
stream.window(tumbling("10s"), { fold: { total: sum((reading) => reading.fahrenheit) } });

stream.window(tumbling("10s")).map((window) => window.values[0]?.celsius);
stream.window(session("10s"), { fold: count() }).map((window) => window.value.toFixed());
stream
  .window(tumbling("10s"), { fold: { init: () => [0], add: (hottest, reading) => [Math.max(hottest[0] ?? 0, reading.celsius)] } })
  .map((window) => window.value[0]?.toFixed());

stream
  .mapAsync(async (event: Event<Reading>) => ({ ...event, value: event.value.celsius }), { fullEvent: true })
  .map((celsius) => celsius.toFixed());
stream
  .mapAsync(async (reading, context) => `${reading.device} ${context.attempt}`, { passContext: true })
  .map((text) => text.length)
  .to([anywhere, anywhere]);
stream.infer(async (rows) => Float32Array.from(rows, (row) => row.celsius)).map((celsius) => celsius.toFixed());
stream.filter((reading): reading is Reading & { device: "a" } => reading.device === "a").map((reading): "a" => reading.device);
// What a task may leave out, a product that writes its source and sink itself may leave out as well.
from(source({ generator: {} })).to(sink({ file: { path: "-" } }));
// Settings that may be missing can be handed on as they are.
declare const settings: { timeout?: string | undefined; lateness: string | undefined; late: SinkSpec | undefined };
stream
  .timeBy((reading) => reading.at, { outOfOrderness: settings.lateness, name: undefined })
  .window(tumbling("10s"), { lateness: settings.lateness, late: settings.late })
  .infer(async (windows) => windows.map(({ values }) => values.length), { timeout: settings.timeout, batch: undefined })
  .map((length) => length.toFixed());
celsius.mapAsync(moduleFunction<typeof tenfold>("file:///enrich.ts"), { concurrency: "thread" }).map(({ where }) => where.trim());
// @ts-expect-error: the function takes numbers, not readings
stream.mapAsync(moduleFunction<typeof tenfold>("file:///enrich.ts"), { concurrency: "thread" });
// @ts-expect-error: there is no such place
celsius.mapAsync(moduleFunction<typeof tenfold>("file:///enrich.ts"), { concurrency: "fibre" });
celsius
  .infer(http<number, string>({ url: "http://scores/", body: (value, event) => [value.toFixed(), event.key] }))
  .map((text) => text.trim());
celsius.infer(http<number, string>({ url: "http://scores/", rows: "batch", reply: (reply, values) => values.map(() => reply.text()) }));
// @ts-expect-error: the endpoint takes numbers, not readings
stream.infer(http<number, string>({ url: "http://scores/" }));
