/**
 * The program of a child process that hosts models. See processes.ts.
 */
import "../../hooks.ts";
import "./light-door.ts";
import { countBuffersWithHeap } from "../../buffer-memory.ts";
import { messageOf } from "../../errors.ts";
import { Hosting } from "./hosting.ts";
import type { FromLane, ToLane } from "./messages.ts";
import { startMemoryReports } from "./process-watch.ts";

countBuffersWithHeap();

/** Kept from models: what they send would be taken for an answer. */
const send = process.send?.bind(process) as ((message: FromLane, done?: () => void) => boolean) | undefined;
delete process.send;
if (send === undefined) throw new Error("this program is started by a worker, not by hand");

// A ^C in a terminal, or its end, reaches the whole group of processes: the worker finishes its calls, and then ends this.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => undefined);
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => undefined);
process.on("disconnect", () => process.exit(1));

function dying(kind: string): (thrown: unknown) => void {
  return (thrown) => {
    send?.(["dying", `${kind}: ${messageOf(thrown)}`], () => process.exit(1));
  };
}
process.on("uncaughtException", dying("it threw an exception that nothing caught"));
process.on("unhandledRejection", dying("it had a rejected promise that nothing awaited"));

startMemoryReports();
const hosting = new Hosting({
  post: (message) => void send(message),
  end: () => void send(["ended"], () => process.exit(0)),
});
process.on("message", (message: ToLane) => hosting.hear(message));
send(["up"]);
