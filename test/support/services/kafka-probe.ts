import { exchange } from "./probe.ts";

/**
 * The node ids of the brokers that a broker knows to be alive, by a Metadata request (key 3) of version 1, written by hand so
 * that no client under test is needed to know that the broker is there.
 */
export async function liveBrokers(address: string): Promise<number[]> {
  const request = Buffer.alloc(18);
  request.writeInt32BE(14, 0);
  request.writeInt16BE(3, 4);
  request.writeInt16BE(1, 6);
  request.writeInt32BE(1, 8);
  // No client id (-1), and an empty list of topics: none.
  request.writeInt16BE(-1, 12);
  const answer = await exchange(address, request, (received) => received.length >= 4 && received.length >= 4 + received.readInt32BE(0));
  const ids: number[] = [];
  let at = 12;
  for (let left = answer.readInt32BE(8); left > 0; left--) {
    ids.push(answer.readInt32BE(at));
    at += 6 + answer.readInt16BE(at + 4) + 4;
    at += 2 + Math.max(0, answer.readInt16BE(at));
  }
  return ids;
}
