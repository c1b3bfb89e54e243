/** Has not heard of bids without a price. */
export function inEuros(price: number | null): number {
  if (price === null) throw new TypeError("a bid without a price");
  return Math.round(price * 0.908);
}
