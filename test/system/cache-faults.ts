import { freePort } from "../support/redis.ts";
import { commandBudgetMs, type LoadedFleet } from "./cache-servers.ts";

/** A way in which redis is lost, and found again. */
export interface Outage {
  readonly name: string;
  /** What health says, at last. */
  readonly reason: RegExp;
  /** How often a server loses it: one that was restarted is used until it refuses. */
  readonly outages: number;
  /** Names of commands with which the probe asks for it; with the last when a write was not answered. */
  readonly probes: readonly string[];
  strike(fleet: LoadedFleet): Promise<void>;
  mend(fleet: LoadedFleet): Promise<void>;
}

/** A way in which redis refuses some commands and does others. */
export interface Refusal {
  readonly name: string;
  readonly reason: string;
  strike(fleet: LoadedFleet): Promise<void>;
  mend(fleet: LoadedFleet): Promise<void>;
}

const one = { outages: 1, probes: ["ping", "unlink"] };

export const killed: Outage = {
  ...one,
  name: "killed, and restarted empty",
  reason: /connection/u,
  strike: ({ redis }) => redis.kill(),
  mend: ({ redis }) => redis.restart(),
};

export const frozen: Outage = {
  ...one,
  name: "stopped by SIGSTOP, and continued",
  reason: /timeout|connection/u,
  strike: async ({ redis }) => redis.freeze(),
  mend: async ({ redis }) => redis.thaw(),
};

export const slow: Outage = {
  ...one,
  name: "slower than the budget",
  reason: /timeout/u,
  strike: async ({ proxy }) => proxy.delay(2 * commandBudgetMs),
  mend: async ({ proxy }) => proxy.pass(),
};

export const cut: Outage = {
  ...one,
  name: "cut off by the network",
  reason: /connection/u,
  strike: async ({ proxy }) => proxy.cut(),
  mend: async ({ proxy }) => proxy.pass(),
};

export const halfOpen: Outage = {
  ...one,
  name: "behind a network that swallows everything",
  reason: /timeout|connection/u,
  strike: async ({ proxy }) => proxy.blackHole(),
  mend: async ({ proxy }) => proxy.pass(),
};

export const locked: Outage = {
  ...one,
  name: "restarted with a password",
  reason: /noauth/u,
  strike: ({ redis }) => redis.restart(["--requirepass", "s3cret"]),
  mend: ({ redis }) => redis.restart(),
};

export const loading: Outage = {
  ...one,
  name: "restarted, and long in loading its data",
  reason: /loading/u,
  async strike({ redis }) {
    await redis.admin.config("SET", "rdbcompression", "no");
    await redis.admin.eval("for i = 1, 4000 do redis.call('SET', i, string.rep('v', 1024)) end", 0);
    await redis.admin.save();
    // A loading server answers after so many bytes: after each key.
    await redis.restart(["--key-load-delay", "10000", "--loading-process-events-interval-bytes", "1024"]);
  },
  mend: ({ redis }) => redis.restart(["--dbfilename", "other.rdb"]),
};

export const clustered: Outage = {
  name: "restarted as a node of a cluster that is down",
  reason: /clusterdown/u,
  outages: 2,
  probes: ["eval", "ping", "unlink"],
  async strike({ redis }) {
    const busPort = String(await freePort());
    await redis.restart(["--cluster-enabled", "yes", "--cluster-port", busPort, "--dbfilename", "cluster.rdb"]);
  },
  mend: ({ redis }) => redis.restart(["--dbfilename", "other.rdb"]),
};

export const full: Refusal = {
  name: "full",
  reason: "oom",
  async strike({ redis }) {
    await redis.admin.config("SET", "maxmemory-policy", "noeviction");
    await redis.admin.config("SET", "maxmemory", "1");
  },
  mend: async ({ redis }) => void (await redis.admin.config("SET", "maxmemory", "0")),
};

export const readOnly: Refusal = {
  name: "made a replica",
  reason: "readonly",
  strike: async ({ redis }) => void (await redis.admin.replicaof("127.0.0.1", "1")),
  mend: async ({ redis }) => void (await redis.admin.replicaof("NO", "ONE")),
};
