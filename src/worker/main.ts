/**
 * The worker process: started by the supervisor with an IPC channel, told what to do in messages (messages.ts).
 */
import "../hooks.ts";
import { countBuffersWithHeap } from "../buffer-memory.ts";
import { messageOf, shortened, stackOf } from "../errors.ts";
import { openLogs } from "../observability/logs.ts";
import type { Tracing } from "../observability/tracing.ts";
import { openSharedResources } from "../shared-resources.ts";
import { Host } from "./host.ts";
import { placeIn, watchExits } from "./last-words.ts";
import type { FromWorker, ToWorker } from "./messages.ts";
import { WorkerModels } from "./models.ts";
import { followProductCode } from "./product-code.ts";
import { startWatchdog } from "./watchdog.ts";

type Begin = Extract<ToWorker, { type: "begin" }>;

countBuffersWithHeap();

// A ^C in a terminal, or its end, reaches the whole group of processes: the supervisor decides what follows from it.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);

// What products print goes where the supervisor's output does. That nobody reads that any more is no fault of theirs.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);

/** Kept from products: what they send would be taken for the worker's own messages. */
const sendToSupervisor = process.send?.bind(process);
delete process.send;

let host: Host | undefined;
let tracing: Tracing | undefined;
let logFatal: (thrown: unknown) => void = () => undefined;
const exits = watchExits((thrown) => logFatal(thrown));

process.on("disconnect", () => exits.exit(1));
process.on("message", (message: ToWorker) => {
  if (message.type === "begin") void begin(message);
  else if (message.type === "exit") void leave();
  else void host?.obey(message);
});

async function leave(): Promise<never> {
  await tracing?.[Symbol.asyncDispose]();
  return exits.exit(0);
}

async function begin(message: Begin): Promise<void> {
  const logs = openLogs(message.log, { worker: message.number });
  const { logger } = logs;
  logFatal = (thrown) => {
    const stack = stackOf(thrown);
    const message = shortened(messageOf(thrown));
    logger.error({ pid: process.pid, stack: stack && shortened(stack) }, `the worker ends: ${message}${placeIn(stack)}`);
  };
  if (message.tracing !== undefined) {
    // It takes memory and time of a worker's start, so only who traces loads it.
    const { openTracing } = await import("../observability/tracing.ts");
    tracing = openTracing(message.tracing, { logger, instance: `worker ${message.number}, process ${process.pid}` });
  }
  const send = (sent: FromWorker) => {
    // When the channel is closed, `disconnect` ends the process.
    if (process.connected) sendToSupervisor?.(sent, undefined, {}, () => undefined);
  };
  host = new Host({
    connections: message.connections,
    checkpoint: message.checkpoint,
    misfit: message.misfit,
    modelSettings: message.models,
    models: new WorkerModels((text) => logs.shown(text)),
    tracer: tracing?.tracer,
    directory: message.directory,
    shared: openSharedResources(),
    logger,
    logs,
    code: followProductCode(),
    watchdog: startWatchdog(message),
    send,
    heartbeat: message.heartbeat,
  });
  send({ type: "ready" });
}
