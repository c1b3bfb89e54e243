/**
 * The program of a thread that hosts models. See threads.ts.
 */
import "../../hooks.ts";
import "./light-door.ts";
import { parentPort } from "node:worker_threads";

import { Hosting } from "./hosting.ts";
import type { FromLane, ToLane } from "./messages.ts";
import { pack } from "./packing.ts";

const port = parentPort;
if (port === null) throw new Error("this program is started as a thread, not by hand");

const hosting = new Hosting({
  post: (message) => {
    if (message[0] !== "done") port.postMessage(message);
    else {
      const { message: parts, transfer, buffers } = pack(message);
      parts[1] = buffers;
      port.postMessage(parts, transfer as ArrayBuffer[]);
    }
  },
  // Whatever the model has left open would keep the thread alive: who hears this ends it.
  end: () => port.postMessage(["ended"] satisfies FromLane),
});
port.on("message", (message: ToLane) => hosting.hear(message));
port.postMessage(["up"] satisfies FromLane);
