import type { ServerResponse } from "node:http";
import type { TestContext } from "node:test";

import { messageOf } from "../../../src/errors.ts";
import type { Tensor } from "../../../src/models/tensors/tensor.ts";
import { httpServer, json } from "../../support/http-server.ts";
import type { Misdeed } from "../../support/open-inference/served.ts";
import { openInferenceServer } from "../../support/open-inference/server.ts";
import { DO, scaled } from "./scale.ts";

const context = { signal: new AbortController().signal };

/** The rows of a tensor of three numbers each. */
function rowsOf({ data }: Tensor): readonly ArrayLike<number>[] {
  const numbers = data as Float32Array;
  return Array.from({ length: numbers.length / 3 }, (_, row) => numbers.subarray(3 * row, 3 * row + 3));
}

/** The model on a server of the Open Inference Protocol. */
export async function openInferenceScale(t: TestContext) {
  const server = await openInferenceServer(t, {
    name: "scale",
    version: "3",
    inputs: [{ name: "x", datatype: "FP32", shape: [3] }],
    outputs: [{ name: "y", datatype: "FP32", shape: [3] }],
    predict: async ([x]) => {
      const outputs = (await scaled(rowsOf(x as Tensor), context)) as Float32Array[] | undefined;
      if (outputs === undefined) return [];
      return [{ name: "y", datatype: "FP32", shape: [outputs.length, 3], data: Float32Array.from(outputs.flatMap((row) => [...row])) }];
    },
  });
  const later = new Set<number>();
  const misdeed = (rows: readonly ArrayLike<number>[]): Misdeed | undefined => {
    const does = (what: number) => rows.find((row) => row[0] === what);
    const row = does(DO.later)?.[1];
    if (row !== undefined && !later.has(row)) {
      later.add(row);
      return { how: "refuses", status: 503, message: "ask again later" };
    }
    if (does(DO.never) !== undefined) return { how: "never ends" };
    return undefined;
  };
  server.misdeed = () => misdeed(rowsOf(server.asked.at(-1)?.inputs[0] as Tensor));
  return server;
}

/** The model behind an HTTP endpoint that takes a row, or an array of rows, as JSON. */
export async function httpScale(t: TestContext) {
  return await httpServer(t, ({ body }, response) => void answerJson(JSON.parse(body) as number[] | number[][], response));
}

async function answerJson(given: number[] | number[][], response: ServerResponse): Promise<void> {
  const rows = (Array.isArray(given[0]) ? given : [given]) as number[][];
  if (rows.some((row) => row[0] === DO.never)) return;
  try {
    const outputs = (await scaled(rows, context)) as Float32Array[] | undefined;
    const plain = outputs?.map((row) => [...row]) ?? null;
    json(response, given === rows ? plain : (plain?.[0] ?? null));
  } catch (error) {
    json(response, { error: messageOf(error) }, error instanceof TypeError ? 400 : 503);
  }
}
