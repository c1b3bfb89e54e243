/**
 * How V8 reckons with buffers: their memory lies outside of its heap.
 */
import { setFlagsFromString } from "node:v8";

/** Known to the V8 of Node 24; another one writes a line to standard error and goes on. */
const BUFFERS_IN_HEAP_LIMIT = "--external-memory-accounted-in-global-limit";

/**
 * Has V8 begin a full collection when heap and buffers together have grown by its usual factor. By default it begins one for each 64 MB of
 * buffers since the last, however large the heap: a worker that takes in and gives out 100 MB of records and tensors a second would
 * do little else. What scavenges free of them counts in neither case. For the whole process, its threads too; to be called when it begins.
 */
export function countBuffersWithHeap(): void {
  setFlagsFromString(BUFFERS_IN_HEAP_LIMIT);
}
