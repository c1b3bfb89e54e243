import type { ItemCodec, Tracked } from "../state/item-log.ts";

/** Ids in the order in which they came. It only grows; what is forgotten of it stays until all of it is. */
export interface Page extends Tracked {
  readonly ids: string[];
  /** From when on the time of each counts; undefined where time plays no part. */
  readonly times: number[] | undefined;
}

interface SavedPage {
  readonly sequence: number;
  /** How many ids were saved before. */
  readonly saved: number;
  /** The others. */
  readonly ids: readonly string[];
  readonly times: Float64Array | undefined;
}

/** Pages of ids as plain data for checkpoints. */
export class PageCodec implements ItemCodec<Page> {
  weight({ ids, saved }: Page): number {
    return 1 + ids.length - saved;
  }

  encode(pages: readonly Page[]): readonly SavedPage[] {
    return pages.map((page) => {
      const { sequence, saved, ids, times } = page;
      page.saved = ids.length;
      return { sequence, saved, ids: ids.slice(saved), times: times && Float64Array.from(times.slice(saved)) };
    });
  }

  decode(block: unknown, pages: Map<number, Page>, segment: number): void {
    for (const { sequence, saved, ids, times } of block as readonly SavedPage[]) {
      const before = saved > 0 ? pages.get(sequence) : undefined;
      const allIds = before?.ids ?? [];
      const allTimes = before?.times ?? (times && []);
      for (const id of ids) allIds.push(id);
      if (times !== undefined) for (const time of times) allTimes?.push(time);
      const place = { changed: 0, segment: before?.segment ?? segment, saved: allIds.length };
      pages.set(sequence, { sequence, ids: allIds, times: allTimes, open: "open", ...place });
    }
  }
}
