/**
 * Holds a model in a process of its own until it is killed; the process is in a loop if the argument says so. Prints that process's id.
 */
import { systemClock } from "../../../src/clock.ts";
import { SILENT } from "../../../src/contracts.ts";
import { Dispatcher } from "../../../src/models/lanes/dispatcher.ts";
import { processProgram } from "../../../src/models/lanes/process-program.ts";

const dispatcher = new Dispatcher({ program: processProgram(), lanes: 1, maxInFlight: 2, clock: systemClock, logger: SILENT });
const entry = await dispatcher.host({ kind: "each", url: import.meta.resolve("./modules/behave.ts"), exportName: "behave" });
const call = { signal: new AbortController().signal, until: Number.POSITIVE_INFINITY };
const place = String(await entry.run({ do: "where" }, call));
if (process.argv[2] === "loop") void entry.run({ do: "loop" }, call);
process.stdout.write(`${Number.parseInt(place)}\n`);
