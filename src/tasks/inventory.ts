import type { NoAnswer } from "./catalog-child.ts";
import type { Answer } from "./catalog-messages.ts";
import type { Catalog } from "./catalog.ts";
import { changedFiles, contentsOf, fingerprintOf } from "./fingerprint.ts";
import type { FolderContents } from "./fingerprint.ts";
import { findProducts } from "./products.ts";
import type { FoundProduct } from "./products.ts";
import type { StoredTask } from "./stores/store.ts";
import type { BrokenProduct, InvalidTask, ProductInfo } from "./task.ts";

/** What is known of one product. */
export interface KnownProduct {
  readonly found: FoundProduct;
  /** Tells what it was imported from apart from what it is imported from later. */
  readonly code: string;
  readonly contents: FolderContents;
  /** A fingerprint of all of its files, also of those that are no part of its code. */
  readonly files: string;
  /** Undefined when the product is broken. */
  readonly info: ProductInfo | undefined;
  readonly broken: BrokenProduct | undefined;
  /** What its `tasks()` last gave. */
  readonly ownTasks: readonly StoredTask[];
  readonly ownTasksFault: InvalidTask | undefined;
}

/** Which products are imported anew. */
export type Renewal = "all" | "new";

/** The products in some folders, as they were when last imported. */
export class Inventory {
  readonly #roots: readonly string[];
  #misplaced: readonly BrokenProduct[] = [];
  #known = new Map<string, KnownProduct>();

  /** @param roots absolute folders of products */
  constructor(roots: readonly string[]) {
    this.#roots = roots;
  }

  /** By name. */
  get products(): ReadonlyMap<string, KnownProduct> {
    return this.#known;
  }

  /** Those that can't be used, whether imported or not. */
  get broken(): readonly BrokenProduct[] {
    return [...this.#misplaced, ...[...this.#known.values()].flatMap((product) => product.broken ?? [])];
  }

  /**
   * Looks for products again.
   * @param followed absolute paths of the files that models follow by themselves: a change of these alone is none of the product's code
   * @param renewal `all` imports every product anew; `new` those that were not there before, and broken ones that changed
   */
  async renew(renewal: Renewal, catalog: Catalog, followed: ReadonlySet<string> = new Set()): Promise<void> {
    const { found, broken, unread } = await findProducts(this.#roots);
    // A folder that can't be read is not an empty one: what was in it stays as it was.
    const kept = [...this.#known.values()].filter((product) => unread.includes(product.found.root));
    const known = new Map<string, KnownProduct>();
    const stale: ({ readonly product: FoundProduct } & Code)[] = [];
    for (const product of found) {
      const before = this.#known.get(product.name);
      if (before !== undefined) known.set(product.name, before);
      const unchanged = before?.found.folder === product.folder;
      if (renewal === "new" && unchanged && before?.broken === undefined) continue;
      const code = await codeOf(product, before, followed);
      if (renewal === "all" || !unchanged || before?.code !== code.code) stale.push({ product, ...code });
    }
    const loaded = await catalog.ask(stale.map(({ product }) => ({ type: "load", folder: product.folder })));
    for (const [index, { product, ...code }] of stale.entries()) {
      known.set(product.name, knownProduct(product, code, loaded[index], this.#known.get(product.name)));
    }
    const asked = stale.filter((_, index) => hasTasks(loaded[index]));
    const given = await catalog.ask(asked.map(({ product }) => ({ type: "tasks", folder: product.folder })));
    for (const [index, { product }] of asked.entries()) {
      const loadedProduct = known.get(product.name);
      if (loadedProduct !== undefined) known.set(product.name, withTasks(loadedProduct, given[index]));
    }
    this.#misplaced = broken;
    this.#known = new Map([...kept.map(entry), ...known.values().map(entry)]);
  }
}

type Code = Pick<KnownProduct, "code" | "contents" | "files">;

async function codeOf({ folder }: FoundProduct, before: KnownProduct | undefined, followed: ReadonlySet<string>): Promise<Code> {
  const contents = await contentsOf(folder);
  const comparable = before?.found.folder === folder && before.broken === undefined;
  const same = comparable && changedFiles(before.contents, contents).every((file) => followed.has(file));
  const files = fingerprintOf(folder, contents);
  return { code: same ? before.code : files, contents, files };
}

function entry(product: KnownProduct): readonly [string, KnownProduct] {
  return [product.found.name, product];
}

type Given = Answer | NoAnswer | undefined;

function hasTasks(answer: Given): boolean {
  return answer?.type === "loaded" && answer.hasTasks;
}

function knownProduct(found: FoundProduct, code: Code, answer: Given, before: KnownProduct | undefined): KnownProduct {
  const { name, folder } = found;
  if (answer?.type === "loaded") {
    const { description, schema } = answer;
    const info = { name, folder, schema, ...(description === undefined ? {} : { description }) };
    const ownTasks = answer.hasTasks ? (before?.ownTasks ?? []) : [];
    return { found, ...code, info, broken: undefined, ownTasks, ownTasksFault: undefined };
  }
  const { where, what } = faultIn(answer, found, "its import");
  const broken = { name, file: where, reason: what };
  return { found, ...code, info: undefined, broken, ownTasks: before?.ownTasks ?? [], ownTasksFault: undefined };
}

function withTasks(product: KnownProduct, answer: Given): KnownProduct {
  const { found } = product;
  const source = `tasks() of product "${found.name}"`;
  if (answer?.type === "tasks")
    return { ...product, ownTasks: answer.tasks.map((task, index) => ownTask(found.name, source, task, index)) };
  const { where, what } = faultIn(answer, found, "it");
  return { ...product, ownTasksFault: { id: source, product: found.name, where, reason: `${source} failed: ${what}`, replaced: false } };
}

function faultIn(answer: Given, found: FoundProduct, subject: string): { readonly where: string; readonly what: string } {
  if (answer?.type === "broken") return answer.fault;
  return { where: found.file, what: `${subject} ${answer?.type === "none" ? answer.reason : "was not answered"}` };
}

function ownTask(product: string, source: string, task: unknown, index: number): StoredTask {
  const stored = { where: `${source}, number ${index + 1}`, origin: source, secrets: [] };
  if (typeof task !== "object" || task === null || Array.isArray(task)) return { ...stored, value: task, faults: [] };
  const named: unknown = Object.hasOwn(task, "product") ? Reflect.get(task, "product") : product;
  const faults = named === product ? [] : [`product: must be left out, or be "${product}"`];
  return { ...stored, value: { ...task, product }, faults };
}
