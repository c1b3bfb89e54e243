import type { Segment } from "./item-log.ts";
import { unpackState } from "./plain-data.ts";

/** How both kinds of items name their sequences: in each item, or as a column, each less the one before it. */
type Block = readonly { readonly sequence: number }[] | { readonly sequences: readonly number[] };

/** How many items of a step were open when its log was saved, such as windows. */
export async function countOpenItems(segments: AsyncIterable<Segment>): Promise<number> {
  const open = new Set<number>();
  for await (const { blocks } of segments) {
    for (const [index, bytes] of blocks.entries()) {
      const content = unpackState(bytes);
      if (index === 0) for (const removed of content as number[]) open.delete(removed);
      else for (const sequence of sequencesIn(content as Block)) open.add(sequence);
    }
  }
  return open.size;
}

function sequencesIn(block: Block): readonly number[] {
  if (!("sequences" in block)) return block.map(({ sequence }) => sequence);
  let last = 0;
  return block.sequences.map((difference) => (last += difference));
}
