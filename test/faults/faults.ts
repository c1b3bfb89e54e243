/** What can go wrong in a run, and how it is made good. */
import { execFile } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { promisify } from "node:util";

import { signalAll } from "../support/processes.ts";
import type { Service } from "../support/services/index.ts";
import { brokerFaults, type Cluster } from "./broker-faults.ts";
import type { Daemon } from "./daemon.ts";
import type { Kind } from "./schedule.ts";
import type { TcpProxy, Weather } from "./tcp-proxy.ts";

const run = promisify(execFile);

/** What faults befall. */
export interface Victims {
  readonly daemon: Daemon;
  /** Brokers and databases that the run owns, by their names. */
  readonly services: ReadonlyMap<string, Service>;
  /** What stands before them, under the same names. */
  readonly proxies: ReadonlyMap<string, TcpProxy>;
  /** Lets a member join the consumer group, and gives how it leaves; undefined where there is no group. */
  readonly joinGroup: (() => Promise<() => Promise<void>>) | undefined;
  /** Several brokers, and what the pipeline reads there. */
  readonly cluster: Cluster | undefined;
}

/** A fault: `inject` makes it, and `heal` is called after it has lasted, once for each. */
export interface Fault extends Kind {
  inject(choice: number): Promise<void>;
  heal(): Promise<void>;
}

/** How often a storm of resets comes, in milliseconds. */
const STORM_EVERY = 500;
/** Longer than from one checkpoint to the next, in milliseconds. */
const LAST_WORDS = 1500;

const nothing = async (): Promise<void> => {};

/** All faults that these can suffer. */
export function faultsOf(victims: Victims): readonly Fault[] {
  const { daemon, services, proxies, joinGroup, cluster } = victims;
  return [
    ...daemonFaults(daemon),
    ...[...services].flatMap(([name, service]) => serviceFaults(name, service, daemon)),
    ...[...proxies].flatMap(([name, proxy]) => networkFaults(name, proxy, daemon)),
    ...(joinGroup === undefined ? [] : [groupFault(joinGroup)]),
    ...(cluster === undefined ? [] : brokerFaults(cluster)),
  ];
}

function daemonFaults(daemon: Daemon): readonly Fault[] {
  let frozen: number | undefined;
  return [
    {
      name: "kill a worker",
      ...lasting(0, 0),
      inject: async (choice) => signalAll(listOf(await daemon.worker(choice)), "SIGKILL"),
      heal: nothing,
    },
    {
      name: "kill all workers",
      ...lasting(0, 0),
      inject: async () => signalAll(await daemon.running.workers(), "SIGKILL"),
      heal: nothing,
    },
    {
      name: "freeze a worker",
      ...lasting(2000, 14_000),
      inject: async (choice) => {
        frozen = await daemon.worker(choice);
        signalAll(listOf(frozen), "SIGSTOP");
      },
      // It may have been replaced meanwhile.
      heal: async () => signalAll(listOf(frozen), "SIGCONT"),
    },
    {
      name: "kill the supervisor",
      ...lasting(0, 2000),
      inject: () => daemon.kill(),
      heal: async () => daemon.start(),
    },
    {
      name: "restart the supervisor",
      ...lasting(0, 1000),
      inject: () => daemon.stop(),
      heal: async () => daemon.start(),
    },
    {
      name: "a second supervisor",
      ...lasting(3000, 10_000),
      inject: async () => daemon.join(),
      heal: () => daemon.leave(),
    },
  ];
}

function serviceFaults(name: string, service: Service, daemon: Daemon): readonly Fault[] {
  const killWorkers = async (): Promise<void> => {
    // What was read by now is in flight, and nothing of it is written.
    await delay(1500);
    signalAll(await daemon.running.workers(), "SIGKILL");
  };
  return [
    {
      // What the system has taken for it may still arrive.
      name: `kill all workers while ${name} is frozen`,
      ...lasting(2000, 4000),
      inject: () => service.freeze().then(killWorkers),
      heal: () => service.thaw(),
    },
    {
      name: `kill all workers while ${name} is down`,
      ...lasting(500, 4000),
      inject: () => service.kill().then(killWorkers),
      heal: () => service.restart(),
    },
    { name: `kill ${name}`, ...lasting(0, 5000), inject: () => service.kill(), heal: () => service.restart() },
    { name: `stop ${name}`, ...lasting(0, 5000), inject: () => service.stop(), heal: () => service.restart() },
    { name: `freeze ${name}`, ...lasting(2000, 8000), inject: () => service.freeze(), heal: () => service.thaw() },
  ];
}

function networkFaults(name: string, proxy: TcpProxy, daemon: Daemon): readonly Fault[] {
  const under = (weather: Weather) => ({
    inject: async (): Promise<void> => void (proxy.weather = weather),
    heal: async (): Promise<void> => void (proxy.weather = {}),
  });
  return [
    { name: `a slow network to ${name}`, ...lasting(3000, 8000), ...under({ latency: 100, jitter: 100 }) },
    { name: `a thin network to ${name}`, ...lasting(3000, 8000), ...under({ throttle: 125_000 }) },
    { name: `connections to ${name} cut after 200 KB`, ...lasting(2000, 6000), ...under({ cutAfter: 200_000 }) },
    { name: `silent connections to ${name}`, ...lasting(2000, 10_000), ...under({ passes: "silent" }) },
    lateNews(name, proxy, daemon),
    storm(`a storm of resets to ${name}`, async () => proxy.reset()),
    storm(`sockets to ${name} killed by the system`, async () => killSockets(proxy.address)),
  ];
}

/**
 * A worker freezes, and what it sent last arrives only after others took its work over: news of a former owner, in good faith.
 */
function lateNews(name: string, proxy: TcpProxy, daemon: Daemon): Fault {
  let frozen: number | undefined;
  let release = (): void => {};
  return {
    name: `freeze a worker whose last words to ${name} come late`,
    ...lasting(4000, 12_000),
    inject: async (choice) => {
      release = proxy.hold();
      await delay(LAST_WORDS);
      frozen = await daemon.worker(choice);
      signalAll(listOf(frozen), "SIGSTOP");
    },
    heal: async () => {
      release();
      signalAll(listOf(frozen), "SIGCONT");
    },
  };
}

function storm(name: string, blow: () => Promise<void>): Fault {
  let ended = new AbortController();
  let blowing: Promise<void> = Promise.resolve();
  return {
    name,
    ...lasting(1500, 4000),
    inject: async () => {
      ended = new AbortController();
      blowing = repeat(blow, ended.signal);
    },
    heal: async () => {
      ended.abort();
      await blowing;
    },
  };
}

async function repeat(act: () => Promise<void>, end: AbortSignal): Promise<void> {
  while (!end.aborted) {
    await act();
    await delay(STORM_EVERY, undefined, { signal: end }).catch(() => undefined);
  }
}

/** Ends what is connected to an address of this machine, from the kernel's side: both ends see an abort. Linux, as root. */
async function killSockets(address: string): Promise<void> {
  const [host = "", port = ""] = address.split(":");
  await run("ss", ["-K", "dst", host, "dport", "=", `:${port}`]);
}

function groupFault(join: () => Promise<() => Promise<void>>): Fault {
  let leave = nothing;
  return {
    name: "a member joins and leaves the group",
    ...lasting(500, 4000),
    inject: async () => {
      leave = await join();
    },
    heal: () => leave(),
  };
}

function lasting(shortest: number, longest: number): { readonly shortest: number; readonly longest: number } {
  return { shortest, longest };
}

function listOf(pid: number | undefined): readonly number[] {
  return pid === undefined ? [] : [pid];
}
