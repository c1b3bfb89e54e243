import type { Partition, Sink, SinkSpec } from "../contracts.ts";
import { PlanError } from "../errors.ts";
import type { Plan } from "./plan.ts";

/**
 * Puts the transactions of the plan's sink, where it makes some, in the place of the partition and of the sink.
 * Everything else then is as without: events are written, positions committed, and the partition is disposed of last.
 */
export function transacted(
  partition: Partition,
  sinks: ReadonlyMap<SinkSpec, Sink>,
): { readonly partition: Partition; readonly sinks: ReadonlyMap<SinkSpec, Sink> } {
  for (const [spec, sink] of sinks) {
    if (sink.transact === undefined) continue;
    const made = sink.transact(partition);
    return { partition: made.partition, sinks: new Map([...sinks, [spec, made.sink]]) };
  }
  return { partition, sinks };
}

/**
 * Results and positions are one transaction only when nothing else remembers what was read.
 * @throws {PlanError} when that is not so, naming what is in the way
 */
export function checkTransactions({ source, steps, sinks }: Plan): void {
  const sink = sinks.find(({ transactsWith }) => transactsWith !== undefined);
  if (sink === undefined) return;
  const what = `the ${sink.kind} sink has the delivery exactly-once, which`;
  if (source.kind !== sink.transactsWith) {
    throw new PlanError(`${what} needs a ${sink.transactsWith} source of the same cluster, and this is a ${source.kind} source`);
  }
  if (sinks.length > 1) throw new PlanError(`${what} needs that it is the only sink, and there are ${sinks.length}`);
  const mixing = steps.find(({ description }) => description["ordered"] === false);
  if (mixing !== undefined) {
    throw new PlanError(`${what} needs steps that keep the order, and "${mixing.name}" has ordered: false: a transaction might never end`);
  }
  // What a shadow is written to may have gaps and repeats, so it need not be part of a transaction.
  const keeping = steps.find(({ stateful, side, kind }) => stateful || (side !== undefined && kind !== "infer"));
  if (keeping !== undefined) {
    throw new PlanError(
      `${what} needs steps without state, and "${keeping.name}" keeps some: it would be saved in another place than the positions`,
    );
  }
}
