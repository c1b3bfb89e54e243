import type { Event } from "../batch.ts";
import type { RunContext, Step } from "../contracts.ts";
import { PlanError } from "../errors.ts";
import type { CallFunction, CallOptions, CallPolicy } from "./call.ts";
import { callWithPolicy } from "./call.ts";
import { asEvent } from "./map-async.ts";
import { orderedCalls } from "./ordered-calls.ts";

/** Options of `infer`: those of `mapAsync`, and how many rows a call may have. */
export interface InferOptions extends CallOptions {
  readonly batch?:
    | {
        /** The most rows of one call; default 256. A call has what is there and never waits for more. */
        readonly maxSize?: number | undefined;
      }
    | undefined;
}

/** Rows per call where nothing is said: past 64 to 256 rows a call, small models gain little. */
const DEFAULT_ROWS = 256;

/** @throws PlanError when an option is out of its range */
export function rowsPerCall(step: string, options: InferOptions): number {
  const rows = options.batch?.maxSize ?? DEFAULT_ROWS;
  if (!Number.isInteger(rows) || rows < 1)
    throw new PlanError(`step "${step}": batch.maxSize must be a whole number, 1 or more (got ${rows})`);
  return rows;
}

type BatchModel = CallFunction<readonly unknown[], readonly unknown[]>;

/** A model over arrays of inputs: neighbouring events are given to it in one call, several calls at a time, results in input order. */
export function inferStep(policy: CallPolicy, rows: number, model: BatchModel): Step<unknown, unknown> {
  return (input, run) =>
    orderedCalls(input, run, { step: policy.step, size: rows, limit: policy.maxInFlight }, (events) =>
      callModel(policy, model, events, run),
    );
}

async function callModel(policy: CallPolicy, model: BatchModel, events: Event[], run: RunContext): Promise<void> {
  const inputs = policy.argument === "event" ? events.slice() : events.map((event) => event.value);
  // The number of rows is checked inside the attempt, so that a wrong answer is tried again like any other failure.
  const checked: BatchModel = async (rows, context) => checkRows(await model(rows, context), rows.length);
  const outputs = await callWithPolicy(policy, checked, inputs, run);
  for (let index = 0; index < events.length; index++) {
    if (policy.argument === "event") events[index] = asEvent(outputs[index]);
    else (events[index] as Event).value = outputs[index];
  }
}

function checkRows(outputs: unknown, rows: number): readonly unknown[] {
  if (!isRows(outputs)) throw new TypeError(`the model must return an array with one result for each of its ${rows} inputs`);
  if (outputs.length !== rows) throw new TypeError(`the model returned ${outputs.length} results for ${rows} inputs`);
  return outputs;
}

/** An array, or a typed array with a number for each row. */
function isRows(outputs: unknown): outputs is readonly unknown[] {
  return Array.isArray(outputs) || (ArrayBuffer.isView(outputs) && "length" in outputs);
}
