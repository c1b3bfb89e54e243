"""The flows of bench/storey.ts on Storey. Prints the result and the seconds as JSON.

    python flows.py map|chain EVENTS
"""

import asyncio
import json
import sys
import time

from storey import AsyncEmitSource, ConcurrentExecution, Filter, Map, Reduce, build_flow


async def preprocess(reading):
    return {"sequence": reading["sequence"], "features": [x / 10 for x in reading["values"]]}


def predict(reading):
    return {"sequence": reading["sequence"], "score": sum(reading["features"])}


def postprocess(result):
    return {"sequence": result["sequence"], "alarm": result["score"] > 40}


def maps():
    """Four cheap steps."""
    return [
        Map(lambda reading: {"sequence": reading["sequence"], "total": sum(reading["values"])}),
        Filter(lambda reading: reading["total"] >= 0),
        Map(lambda reading: {"sequence": reading["sequence"], "mean": reading["total"] / 8}),
        Map(lambda reading: {"sequence": reading["sequence"], "alarm": reading["mean"] > 50}),
    ]


def chain():
    return [
        ConcurrentExecution(preprocess, concurrency_mechanism="asyncio", max_in_flight=8),
        ConcurrentExecution(predict, concurrency_mechanism="process_pool", max_in_flight=2),
        ConcurrentExecution(postprocess, concurrency_mechanism="thread_pool", max_in_flight=8),
    ]


def count(summary, result):
    in_order = result["sequence"] == summary["events"]
    return {
        "events": summary["events"] + 1,
        "alarms": summary["alarms"] + (1 if result["alarm"] else 0),
        "inOrder": summary["inOrder"] and in_order,
    }


async def run(steps, events):
    nothing = {"events": 0, "alarms": 0, "inOrder": True}
    # Of its two sources the faster one: it is fed from the loop that runs the flow.
    controller = build_flow([AsyncEmitSource(), *steps, Reduce(nothing, count)]).run()
    values = [[first + k for k in range(8)] for first in range(97)]
    start = time.perf_counter()
    for sequence in range(events):
        await controller.emit({"sequence": sequence, "values": values[sequence % 97]})
    await controller.terminate()
    result = await controller.await_termination()
    return {**result, "seconds": time.perf_counter() - start}


if __name__ == "__main__":
    flow = {"map": maps, "chain": chain}[sys.argv[1]]
    print(json.dumps(asyncio.run(run(flow(), int(sys.argv[2])))))
