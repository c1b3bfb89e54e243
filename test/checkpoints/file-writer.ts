/** Saves checkpoints in a folder until it is killed, and says each that is confirmed: `node file-writer.ts FOLDER`. */
import { FileCheckpointStore } from "../../src/checkpoints/file.ts";
import { SILENT } from "../../src/contracts.ts";

const store = new FileCheckpointStore(process.argv[2] ?? "", SILENT);
const { signal } = new AbortController();
const name = { task: "writer", partition: "p" };
const claim = await store.claim(name, signal);
const [newest] = claim.manifests;
const last = newest === undefined ? 0 : Number(Buffer.from(newest).toString());
await claim.sweep(new Set(last === 0 ? [] : [`n-${last}`]), signal);
process.stdout.write(`from ${last}\n`);
for (let number = last + 1; ; number++) {
  const part = Buffer.from(String(number).repeat(5000));
  const dropped = number === 1 ? [] : [`n-${number - 1}`];
  await claim.save({ manifest: Buffer.from(String(number)), added: new Map([[`n-${number}`, part]]), dropped }, signal);
  process.stdout.write(`saved ${number}\n`);
}
