/** What every checkpoint store promises. */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { describe, it, type TestContext } from "node:test";

import type { CheckpointBytes, CheckpointName, CheckpointStore } from "../../src/checkpoint-store.ts";
import { PART_BYTES } from "../../src/checkpoint-store.ts";
import { OwnershipLostError } from "../../src/errors.ts";
import type { StorePlace } from "../support/checkpoint-places.ts";
import { PLACES } from "../support/checkpoint-places.ts";
import { until } from "../support/until.ts";

const signal = new AbortController().signal;
const name: CheckpointName = { task: "orders", partition: "orders/3" };
const bytes = (text: string): Uint8Array => Buffer.from(text);

/** A checkpoint of text. */
function checkpoint(manifest: string, parts: Readonly<Record<string, string>> = {}, dropped: readonly string[] = []): CheckpointBytes {
  const added = new Map(Object.entries(parts).map(([id, text]) => [id, bytes(text)]));
  return { manifest: bytes(manifest), added, dropped };
}

async function textOf(store: CheckpointStore, id: string, of = name): Promise<string | undefined> {
  const part = await store.part(of, id, signal);
  return part === undefined ? undefined : Buffer.from(part).toString();
}

/** What a new owner would begin from, without becoming one. */
async function saved(store: CheckpointStore, task = name.task): Promise<readonly (readonly [string, string | undefined])[]> {
  const stored = await store.list(task, signal);
  return stored.map(({ name: { partition }, manifests: [newest] }) => [partition, newest && Buffer.from(newest).toString()] as const);
}

function newest(claim: { readonly manifests: readonly Uint8Array[] }): string | undefined {
  return claim.manifests[0] && Buffer.from(claim.manifests[0]).toString();
}

async function pair(t: TestContext, place: StorePlace): Promise<readonly [CheckpointStore, CheckpointStore]> {
  const open = await place.prepare(t);
  return [await open(), await open()];
}

for (const place of PLACES) {
  void describe(`checkpoint store: ${place.name}`, () => {
    it("has nothing of a partition that is claimed for the first time", async (t) => {
      const [store] = await pair(t, place);
      assert.deepEqual(await store.list(undefined, signal), []);
      const claim = await store.claim(name, signal);
      assert.deepEqual([claim.name, claim.epoch, claim.manifests], [name, 1, []]);
      assert.equal(await store.part(name, "a", signal), undefined);
      assert.deepEqual(await saved(store), [["orders/3", undefined]], "it was claimed, but nothing was saved");
    });

    it("gives a new owner the bytes that were saved", async (t) => {
      const [store, other] = await pair(t, place);
      const all = Uint8Array.from({ length: 256 }, (_, byte) => byte);
      const claim = await store.claim(name, signal);
      await claim.save({ manifest: all, added: new Map([["p-1", all]]), dropped: [] }, signal);
      const next = await other.claim(name, signal);
      assert.equal(next.epoch, 2);
      assert.deepEqual(Buffer.from(next.manifests[0] ?? []), Buffer.from(all));
      assert.deepEqual(Buffer.from((await other.part(name, "p-1", signal)) ?? []), Buffer.from(all));
    });

    it("takes a checkpoint without parts and with an empty manifest and part", async (t) => {
      const [store, other] = await pair(t, place);
      const claim = await store.claim(name, signal);
      await claim.save(checkpoint("", { empty: "" }), signal);
      assert.equal(newest(await other.claim(name, signal)), "");
      assert.equal(await textOf(other, "empty"), "");
    });

    it("drops parts that no kept manifest speaks of, and those only", async (t) => {
      const [store, other] = await pair(t, place);
      const claim = await store.claim(name, signal);
      await claim.save(checkpoint("1", { a: "A", b: "B" }), signal);
      await claim.save(checkpoint("2", { c: "C" }, ["a"]), signal);
      const [stored] = await other.list(name.task, signal);
      const texts = stored?.manifests.map((manifest) => Buffer.from(manifest).toString());
      assert.deepEqual(texts, place.keepsPrevious ? ["2", "1"] : ["2"]);
      assert.equal(await textOf(other, "a"), place.keepsPrevious ? "A" : undefined);
      await claim.save(checkpoint("3", { d: "D" }), signal);
      assert.deepEqual(
        [await textOf(other, "a"), await textOf(other, "b"), await textOf(other, "c"), await textOf(other, "d")],
        [undefined, "B", "C", "D"],
      );
      const next = await other.claim(name, signal);
      assert.equal(newest(next), "3");
      await next.save(checkpoint("4", {}, ["b"]), signal);
      await next.save(checkpoint("5"), signal);
      assert.deepEqual([await textOf(store, "b"), await textOf(store, "c")], [undefined, "C"]);
    });

    it("sweeps what a crash left behind", async (t) => {
      const [store] = await pair(t, place);
      const claim = await store.claim(name, signal);
      await claim.save(checkpoint("1", { kept: "K", left: "L", Left: "l" }), signal);
      await claim.sweep(new Set(["kept", "missing"]), signal);
      assert.deepEqual(
        [await textOf(store, "kept"), await textOf(store, "left"), await textOf(store, "Left")],
        ["K", undefined, undefined],
      );
      assert.deepEqual(await saved(store), [["orders/3", "1"]]);
    });

    it("refuses whoever owned a partition before, and changes nothing", async (t) => {
      const [store, other] = await pair(t, place);
      const former = await store.claim(name, signal);
      await former.save(checkpoint("1", { a: "A" }), signal);
      const owner = await other.claim(name, signal);
      await assert.rejects(former.save(checkpoint("2", { b: "B" }, ["a"]), signal), OwnershipLostError);
      await assert.rejects(former.sweep(new Set(), signal), OwnershipLostError);
      await assert.rejects(former.finish(signal), OwnershipLostError);
      assert.deepEqual([await saved(store), await textOf(store, "a")], [[["orders/3", "1"]], "A"]);
      await owner.save(checkpoint("2'", { c: "C" }), signal);
      await assert.rejects(former.save(checkpoint("2", { b: "B" }, ["a"]), signal), OwnershipLostError);
      assert.deepEqual([await saved(store), await textOf(store, "a"), await textOf(store, "c")], [[["orders/3", "2'"]], "A", "C"]);
    });

    it("takes the same checkpoint again", async (t) => {
      const [store, other] = await pair(t, place);
      const claim = await store.claim(name, signal);
      await claim.save(checkpoint("1", { a: "A" }), signal);
      const second = checkpoint("2", { b: "B" }, ["a"]);
      for (let times = 0; times < 3; times++) await claim.save(second, signal);
      assert.deepEqual([await textOf(other, "a"), await textOf(other, "b")], [undefined, "B"]);
      assert.equal(newest(await other.claim(name, signal)), "2");
    });

    it("lists tasks and partitions with odd names in order", async (t) => {
      const [store, other] = await pair(t, place);
      const odd = [
        "a b",
        "a/b",
        "a\\b",
        "..",
        ".",
        "",
        "a.b.*",
        ">",
        "{x}:y",
        "=41",
        "Ärger",
        "日本語",
        "💥",
        "Case",
        "case",
        "CON",
        "x".repeat(300),
      ];
      const names = [...odd.map((task) => ({ task, partition: "p" })), ...odd.map((partition) => ({ task: "odd", partition }))];
      for (const each of names)
        await (await store.claim(each, signal)).save(checkpoint(JSON.stringify(each), { a: JSON.stringify(each) }), signal);
      const sorted = names.toSorted((a, b) => (`${a.task}\0${a.partition}` < `${b.task}\0${b.partition}` ? -1 : 1));
      const listed = await other.list(undefined, signal);
      assert.deepEqual(
        listed.map((stored) => stored.name),
        sorted,
      );
      for (const stored of listed) {
        assert.equal(newest(stored), JSON.stringify(stored.name));
        assert.equal(await textOf(other, "a", stored.name), JSON.stringify(stored.name));
      }
      assert.deepEqual(
        (await other.list("Case", signal)).map((stored) => stored.name),
        [{ task: "Case", partition: "p" }],
      );
      assert.deepEqual(await other.list("Cas", signal), []);
    });

    it("keeps two long names with the same beginning apart", async (t) => {
      const [store] = await pair(t, place);
      const tasks = ["Ж".repeat(300), `${"Ж".repeat(299)}З`];
      for (const task of tasks) await (await store.claim({ task, partition: task }, signal)).save(checkpoint(task), signal);
      for (const task of tasks) assert.deepEqual(await saved(store, task), [[task, task]]);
    });

    it("forgets what is removed, and fences its owner", async (t) => {
      const [store, other] = await pair(t, place);
      const beside = await store.claim({ ...name, partition: "orders/4" }, signal);
      await beside.save(checkpoint("beside", { a: "A4" }), signal);
      const former = await store.claim(name, signal);
      await former.save(checkpoint("1", { a: "A" }), signal);
      await other.remove(name, signal);
      assert.deepEqual([await saved(store), await textOf(store, "a")], [[["orders/4", "beside"]], undefined]);
      await assert.rejects(former.save(checkpoint("2", { b: "B" }), signal), OwnershipLostError);
      const owner = await other.claim(name, signal);
      assert.deepEqual(owner.manifests, []);
      await assert.rejects(former.save(checkpoint("2", { b: "B" }), signal), OwnershipLostError);
      await owner.save(checkpoint("1'", { c: "C" }), signal);
      await assert.rejects(former.save(checkpoint("2", { b: "B" }), signal), OwnershipLostError);
      await assert.rejects(former.finish(signal), OwnershipLostError);
      assert.deepEqual(await saved(store), [
        ["orders/3", "1'"],
        ["orders/4", "beside"],
      ]);
      assert.deepEqual([await textOf(store, "c"), await textOf(store, "a", beside.name)], ["C", "A4"]);
      await other.remove({ task: "unknown", partition: "p" }, signal);
    });

    it("leaves nothing of a partition that is finished", async (t) => {
      const open = await place.prepare(t);
      const store = await open();
      const claim = await store.claim(name, signal);
      await claim.save(checkpoint("1", { a: "A" }), signal);
      await claim.finish(signal);
      await claim.finish(signal);
      await assert.rejects(claim.save(checkpoint("2"), signal), OwnershipLostError);
      assert.deepEqual(await store.list(undefined, signal), []);
      assert.equal(await textOf(store, "a"), undefined);
      assert.deepEqual(await open.remains(), []);
      assert.deepEqual((await store.claim(name, signal)).manifests, []);
    });

    it("takes the largest manifest and part", async (t) => {
      const [store, other] = await pair(t, place);
      const large = randomBytes(PART_BYTES);
      const claim = await store.claim(name, signal);
      await claim.save({ manifest: large, added: new Map([["large", large]]), dropped: [] }, signal);
      assert.ok(large.equals((await other.claim(name, signal)).manifests[0] ?? Buffer.alloc(0)));
      assert.ok(large.equals((await other.part(name, "large", signal)) ?? Buffer.alloc(0)));
    });

    it("takes 200 parts at once, and drops them", async (t) => {
      const [store, other] = await pair(t, place);
      const ids = Array.from({ length: 200 }, (_, index) => `part-${index}`);
      const parts = new Map(ids.map((id) => [id, randomBytes(64 * 1024)]));
      const claim = await store.claim(name, signal);
      await claim.save({ manifest: bytes("200"), added: parts, dropped: [] }, signal);
      for (const [id, part] of parts) assert.ok(part.equals((await other.part(name, id, signal)) ?? Buffer.alloc(0)), id);
      await claim.save(checkpoint("0", {}, ids), signal);
      await claim.save(checkpoint("0"), signal);
      for (const id of ids) assert.equal(await other.part(name, id, signal), undefined);
    });

    it("lets exactly one of those who claim at once save", async (t) => {
      const [store, other] = await pair(t, place);
      for (let round = 0; round < 20; round++) {
        const partition = `p${round}`;
        const claims = await Promise.all([store, other, store, other].map((each) => each.claim({ task: "race", partition }, signal)));
        const outcomes = await Promise.allSettled(claims.map((claim, index) => claim.save(checkpoint(String(index)), signal)));
        const winners = outcomes.flatMap((outcome, index) => (outcome.status === "fulfilled" ? [index] : []));
        assert.equal(winners.length, 1, JSON.stringify(winners));
        assert.equal(claims[winners[0] ?? 0]?.epoch, Math.max(...claims.map((claim) => claim.epoch)));
        for (const outcome of outcomes) if (outcome.status === "rejected") assert.ok(outcome.reason instanceof OwnershipLostError);
        assert.equal(newest(await store.claim({ task: "race", partition }, signal)), String(winners[0]));
      }
    });

    it("hands over what was confirmed, whenever another claims while the owner saves", async (t) => {
      const [store, other] = await pair(t, place);
      for (let round = 0; round < 20; round++) {
        const raced = { task: "handover", partition: `p${round}` };
        const former = await store.claim(raced, signal);
        let confirmed = 0;
        const saving = (async () => {
          // More than can be saved until the other has claimed it.
          for (let number = 1; number < 2000; number++) {
            await former.save(
              checkpoint(String(number), { [`n-${number}`]: String(number) }, number > 1 ? [`n-${number - 1}`] : []),
              signal,
            );
            confirmed = number;
          }
        })();
        const refused = assert.rejects(saving, OwnershipLostError);
        await until("some are saved", () => confirmed >= round % 5, { every: 1 });
        const owner = await other.claim(raced, signal);
        await refused;
        const found = Number(newest(owner) ?? 0);
        assert.ok(found === confirmed || found === confirmed + 1, `${confirmed} was confirmed, ${found} was found`);
        if (found > 0) assert.equal(await textOf(other, `n-${found}`, raced), String(found));
      }
    });

    it("rejects promptly with the reason of a signal that aborts", async (t) => {
      const [store] = await pair(t, place);
      const claim = await store.claim(name, signal);
      const reason = new Error("given up");
      const aborted = AbortSignal.abort(reason);
      const isReason = (error: unknown): boolean => error === reason;
      await assert.rejects(store.claim(name, aborted), isReason);
      await assert.rejects(store.list(undefined, aborted), isReason);
      await assert.rejects(store.part(name, "a", aborted), isReason);
      await assert.rejects(store.remove(name, aborted), isReason);
      await assert.rejects(claim.sweep(new Set(), aborted), isReason);
      await assert.rejects(claim.finish(aborted), isReason);
      await assert.rejects(claim.save(checkpoint("1"), aborted), isReason);
      const during = new AbortController();
      const large = new Map(Array.from({ length: 50 }, (_, index) => [`l-${index}`, randomBytes(PART_BYTES)]));
      const saving = claim.save({ manifest: bytes("1"), added: large, dropped: [] }, during.signal);
      during.abort(reason);
      await assert.rejects(saving, isReason);
      await claim.save(checkpoint("2"), signal);
      assert.deepEqual(await saved(store), [["orders/3", "2"]], "the save that was given up does not come after the next one");
    });
  });
}
