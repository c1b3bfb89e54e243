import { decode, defineProduct, from, openInference, sink, sinkConfig, source, sourceConfig, z } from "millrace";

/** A flower, as it is measured: length and width in centimetres. */
interface Flower {
  readonly sepal: readonly [length: number, width: number];
  readonly petal: readonly [length: number, width: number];
}

/** What MLServer answers for a flower: one text, and the distance to the mean of each species. */
interface Answer {
  readonly species: readonly [string];
  readonly distances: Float64Array;
}

/** Asks a model that runs in MLServer, over HTTP or gRPC: see README.md for how to start it. */
export default defineProduct({
  name: "mlserver",
  description: "Names the species of irises by a model in MLServer",
  config: z.strictObject({
    input: sourceConfig,
    output: sinkConfig,
    server: z.string().describe("http://HOST:8080, or grpc://HOST:8081").default("http://127.0.0.1:8080"),
  }),
  pipeline: ({ config }) =>
    from(source(config.input))
      .map(decode.json<Flower>)
      .map(({ sepal, petal }) => [...sepal, ...petal])
      .infer(openInference<readonly number[], Answer>({ url: config.server, model: "iris" }), { batch: { maxSize: 64 }, retries: 5 })
      .map(({ species, distances }) => ({ species: species[0], distance: Math.min(...distances) }))
      .to(sink(config.output)),
});
