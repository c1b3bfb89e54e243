import type { Tensor } from "../../../src/models/tensors/tensor.ts";
import type { HostedModel } from "../../support/open-inference/served.ts";

/** A model `scale`, version 3: three numbers → twice as many of each. */
export const scale: HostedModel = {
  name: "scale",
  version: "3",
  inputs: [{ name: "x", datatype: "FP32", shape: [3] }],
  outputs: [{ name: "y", datatype: "FP32", shape: [3] }],
  predict: (inputs) => {
    const x = inputs[0] as Tensor;
    return [{ ...x, name: "y", data: (x.data as Float32Array).map((element) => element * 2) }];
  },
};

/** A model that gives back what it is given, of every datatype. */
export const echo: HostedModel = {
  name: "echo",
  inputs: (["BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP32", "FP64", "BYTES"] as const).map(
    (datatype) => ({ name: datatype.toLowerCase(), datatype, shape: [2] }),
  ),
  outputs: (["BOOL", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64", "FP32", "FP64", "BYTES"] as const).map(
    (datatype) => ({ name: datatype.toLowerCase(), datatype, shape: [2] }),
  ),
  predict: (inputs) => inputs,
};
