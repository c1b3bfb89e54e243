import type { WindowValues } from "millrace";

export interface Item {
  readonly key: string;
  readonly time: number;
  readonly id: number;
}

type Result = WindowValues<Item>;

/** Tumbling and sliding windows over events that are never late, written the plain way. */
export function timeWindows(items: readonly Item[], size: number, slide: number): Result[] {
  const windows = new Map<string, Result>();
  for (const item of items) {
    for (let start = Math.floor(item.time / slide) * slide - Math.ceil(size / slide) * slide; start <= item.time; start += slide) {
      if (item.time < start || item.time >= start + size) continue;
      add(windows, `${item.key}/${start}`, { key: item.key, start, end: start + size }, item);
    }
  }
  return [...windows.values()];
}

/** Sessions over events that are never late: neighbours in time whose distance is at most the gap are together. */
export function sessions(items: readonly Item[], gap: number): Result[] {
  const results: Result[] = [];
  for (const key of new Set(items.map((item) => item.key))) {
    const own = items.filter((item) => item.key === key).toSorted((a, b) => a.time - b.time);
    let current: Item[] = [];
    const close = () => {
      if (current.length === 0) return;
      const start = (current[0] as Item).time;
      const end = (current[current.length - 1] as Item).time + gap;
      results.push({ key, start, end, count: current.length, values: current });
      current = [];
    };
    for (const item of own) {
      const last = current[current.length - 1];
      if (last !== undefined && item.time - last.time > gap) close();
      current.push(item);
    }
    close();
  }
  return results;
}

/** Full windows of `count` events per key, one beginning every `slide` events. */
export function countWindows(items: readonly Item[], count: number, slide: number): Result[] {
  const results: Result[] = [];
  for (const key of new Set(items.map((item) => item.key))) {
    const own = items.filter((item) => item.key === key);
    for (let first = 0; first + count <= own.length; first += slide) {
      const values = own.slice(first, first + count);
      results.push({ key, start: (values[0] as Item).time, end: (values[count - 1] as Item).time, count, values });
    }
  }
  return results;
}

/** One text for results whatever their order and the order of their values. */
export function canonical(results: readonly Result[]): string[] {
  return results
    .map(({ key, start, end, count, values }) => {
      const ids = values.map((value) => value.id).toSorted((a, b) => a - b);
      return `${key} [${start}, ${end}) ${count}: ${ids.join(" ")}`;
    })
    .toSorted();
}

function add(windows: Map<string, Result>, name: string, window: Pick<Result, "key" | "start" | "end">, item: Item): void {
  const result = windows.get(name) ?? { ...window, count: 0, values: [] };
  windows.set(name, { ...result, count: result.count + 1, values: [...result.values, item] });
}
