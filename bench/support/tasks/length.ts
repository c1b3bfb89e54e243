/** What `dispatch.ts` has its threads and processes do: next to nothing, so that what is measured is the way there and back. */
export default function length(event: string): number {
  return event.length;
}
