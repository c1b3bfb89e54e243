import type { SeedCase } from "./case.ts";

const FAILS_ON_3 = "raises RuntimeError('boom') on 3; 20 ms between events";
const SEVEN = [1, 2, 3, 4, 5, 6, 7];

type Sibling = Omit<SeedCase, "id">;

/** Cases like those of the file, with what these do not show: other values, mechanisms, error streams, recovery, what is marked as wrong. */
export const SIBLINGS: readonly Sibling[] = [
  {
    system: "storey",
    feature: "ConcurrentExecution.retries/backoff",
    config: { retries: 3, backoff_factor: 3, max_in_flight: 1, concurrency_mechanism: "thread_pool" },
    input: { event: 4, processor: "fails 3 time(s) with KeyError('k<k>') then returns event+1" },
    expected: { result: [5], attempts: 4, sleeps_s: [3, 6, 12] },
  },
  {
    system: "storey",
    feature: "ConcurrentExecution.retries/backoff",
    config: { retries: 1, backoff_factor: 0, max_in_flight: 2 },
    input: { event: 7, processor: "fails 1 time(s) with ValueError('fail<k>') then returns event*10" },
    expected: { result: [70], attempts: 2, sleeps_s: [1] },
  },
  {
    system: "storey",
    feature: "ConcurrentExecution.retries/backoff",
    config: { retries: 2, backoff_factor: 0, max_in_flight: 2 },
    input: { event: 7, processor: "fails 2 time(s) with ValueError('fail<k>') then returns event*10" },
    expected: { result: [70], attempts: 3, sleeps_s: [1, 2] },
    note: "QUIRK: 0 means 1, back-off can't be switched off",
  },
  {
    system: "storey",
    feature: "ConcurrentExecution output order",
    config: { max_in_flight: 3, concurrency_mechanism: "process_pool" },
    input: { events_sleep_ms: [60, 5, 30, 1] },
    expected: { output: [60, 5, 30, 1] },
  },
  {
    system: "storey",
    feature: "ConcurrentExecution.full_event",
    config: { full_event: true },
    input: { events: [1, 2], processor: "event.body *= 10; returns event" },
    expected: { output: [10, 20] },
  },
  {
    system: "storey",
    feature: "ConcurrentExecution.pass_context",
    config: { pass_context: true, concurrency_mechanism: "multiprocessing" },
    input: { events: [1, 2], context: { tag: "ctx" } },
    expected: {
      output: [
        [1, "ctx"],
        [2, "ctx"],
      ],
    },
  },
  {
    system: "storey",
    feature: "ConcurrentExecution config validation",
    config: { concurrency_mechanism: "process_pool", pass_context: true, context: "not picklable" },
    input: null,
    expected: {
      error:
        'ValueError: When concurrency_mechanism="process_pool" is used in conjunction with pass_context=True, context must be serializable',
    },
  },
  {
    system: "storey",
    feature: "ConcurrentExecution error w/o recovery_step",
    config: { max_in_flight: 2 },
    input: { events: SEVEN, processor: FAILS_ON_3 },
    expected: { passed_downstream: [1, 2], emit_error: "RuntimeError: boom", termination_error: "RuntimeError: boom" },
  },
  {
    system: "storey",
    feature: "ConcurrentExecution error with push_error",
    config: { max_in_flight: 2, context: "has push_error" },
    input: { events: SEVEN, processor: FAILS_ON_3 },
    expected: { passed_downstream: [1, 2, 4, 5, 6, 7], pushed_errors: [["boom", "ConcurrentExecution"]], termination_error: null },
  },
  {
    system: "storey",
    feature: "ConcurrentExecution error with recovery_step",
    config: { max_in_flight: 2, recovery_step: "catch" },
    input: { events: SEVEN, processor: FAILS_ON_3 },
    expected: { passed_downstream: [1, 2, 4, 5, 6, 7], handler_saw: [{ body: 3, error: "RuntimeError: boom", origin_state: "conc" }] },
  },
  {
    system: "storey",
    feature: "recovery_step by exception class",
    config: { max_in_flight: 2, recovery_step: { ValueError: "a" } },
    input: { events: [1, 2, 3], processor: "raises ValueError('v') on 1 and raises TypeError('t') on 2" },
    expected: { passed_downstream: [], handler_saw: [[1, "ValueError: v"]], raised: "TypeError: t" },
  },
  {
    system: "storey",
    feature: "recovery_step scope: error raised by a step DOWNSTREAM of a concurrent step",
    config: { max_in_flight: 2 },
    input: { events: [1, 2, 3], downstream_map: "raises ValueError('downstream bad') on 2" },
    expected: { raised: null, handler_saw: [[2, "conc", "ValueError: downstream bad"]] },
    note: "with max_in_flight>1 the concurrent step (mis)attributes the downstream error to itself",
  },
  {
    system: "storey",
    feature: "Map error with recovery_step",
    config: { recovery_step: "catch" },
    input: { events: [1, 2, 3], fn: "raises ValueError('bad') on 2" },
    expected: { output: [1, 3], handler_saw: [[2, "ValueError('bad')"]] },
  },
  {
    system: "storey",
    feature: "Map fn_select_outlets returns None",
    config: { outlets: ["a", "b"] },
    input: [1],
    expected: ["a1", "b1"],
  },
  {
    system: "storey",
    feature: "Map",
    config: { fn: "x['a'] if 'a' in x else None" },
    input: [{ a: 1 }, {}],
    expected: { output: [1, null] },
  },
  { system: "storey", feature: "Filter", config: { fn: "lambda x: x % 2 == 0 and not x == 4" }, input: [0, 1, 4, 6], expected: [0, 6] },
  { system: "storey", feature: "FlatMap", config: { fn: "[y * 2 for y in x if y > 1]" }, input: [[1, 2, 3]], expected: [4, 6] },
  {
    system: "storey",
    feature: "Extend",
    config: { fn: "{'b': x['a'] // 2, 'c': str(x['a'])}" },
    input: [{ a: 5 }],
    expected: [{ a: 5, b: 2, c: "5" }],
  },
  {
    system: "storey",
    feature: "Batch flush_after_seconds",
    config: { max_events: 2, flush_after_seconds: 0.3, full_event: false },
    input: { timeline: "1 at t=0; 2 at t=.1; 3 at t=.2; terminate at .8" },
    expected: {
      output_t_and_batch: [
        [0.1, [1, 2]],
        [0.3, [3]],
      ],
    },
    note: "QUIRK: the timer of the first batch goes on",
  },
  {
    system: "storey",
    feature: "Batch drop_key_field",
    config: { max_events: 2, key_field: "k", drop_key_field: true, full_event: false },
    input: [
      { k: "a", v: 1 },
      { k: "a", v: 2 },
    ],
    expected: [[{ v: 1 }, { v: 2 }]],
  },
  {
    system: "storey",
    feature: "Batch by event attribute",
    config: { max_events: 2, key_field: "$key", full_event: false },
    input: {
      events: [
        { key: "a", body: 1 },
        { key: "b", body: 2 },
        { key: "a", body: 3 },
      ],
    },
    expected: { output: [[1, 3], [2]] },
  },
  {
    system: "storey",
    feature: "Batch config validation",
    config: {},
    input: null,
    expected: { error: "ValueError: At least one of flush_after_seconds or max_events must be provided in Batch" },
  },
  {
    system: "mlserver",
    feature: "BatchedRequests split",
    config: { minibatch_sizes: [1, 2] },
    input: { model_name: "m", outputs: [{ name: "o", shape: [3, 2], datatype: "FP32", data: [1, 2, 3, 4, 5, 6] }] },
    expected: [
      { model_name: "m", id: "x", outputs: [{ name: "o", shape: [1, 2], datatype: "FP32", data: [1, 2] }] },
      { model_name: "m", outputs: [{ name: "o", shape: [2, 2], datatype: "FP32", data: [3, 4, 5, 6] }] },
    ],
  },
  {
    system: "mlserver",
    feature: "BatchedRequests merge, two inputs",
    config: {},
    input: ["p", "q"].map((text, index) => ({
      inputs: [
        { name: "s", datatype: "BYTES", shape: [1, 1], data: [text] },
        { name: "n", datatype: "INT64", shape: [1, 2], data: [index, index] },
      ],
    })),
    expected: {
      merged: {
        inputs: [
          { name: "s", shape: [2, 1], datatype: "BYTES", data: ["p", "q"] },
          { name: "n", shape: [2, 2], datatype: "INT64", data: [0, 0, 1, 1] },
        ],
      },
      minibatch_sizes: [1, 1],
    },
  },
  {
    system: "mlserver",
    feature: "adaptive batching: full batches go at once",
    config: { max_batch_size: 2, max_batch_time: 0.2 },
    input: {
      requests_t_rows: [
        [0, 1],
        [0.05, 1],
        [0.1, 1],
      ],
    },
    expected: {
      predict_calls_t_rows: [
        [0.05, 2],
        [0.3, 1],
      ],
      responses: [
        [0.05, "r0", [0]],
        [0.05, "r1", [1]],
        [0.3, "r2", [2]],
      ],
    },
  },
  {
    system: "mlserver",
    feature: "adaptive batching: single request waits full max_batch_time",
    config: { max_batch_size: 5, max_batch_time: 0.4 },
    input: { requests_t_rows: [[0.1, 2]] },
    expected: { predict_calls_t_rows: [[0.5, 2]], responses: [[0.5, "r0", [0, 0]]] },
  },
  {
    system: "mlrun",
    feature: "$remote: HTTP 408 is not retried",
    config: { retries: 1 },
    input: { body: { a: 1 } },
    expected: {
      output: [],
      backoff_sleeps_s: [],
      requests: [{ method: "POST", path: "/", body: '{"a": 1}', headers: { "MLRUN-EVENT-ID": "ev1", "Content-Type": "application/json" } }],
    },
  },
  {
    system: "mlrun",
    feature: "$remote: HTTP 502 once then 200",
    config: { method: "PUT", headers_expression: "{'x-n': str(event['a'])}" },
    input: { body: { a: 1 }, event_path: "/" },
    expected: {
      output: [{ res: 1 }],
      backoff_sleeps_s: [1],
      requests: [1, 2].map(() => ({
        method: "PUT",
        path: "/",
        body: '{"a": 1}',
        headers: { "MLRUN-EVENT-ID": "ev1", "Content-Type": "application/json" },
      })),
      pushed_errors: [],
    },
  },
];
