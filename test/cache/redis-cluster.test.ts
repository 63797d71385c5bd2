import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import { CacheStoreError } from "../../src/cache/errors.ts";
import { eventually } from "../support/eventually.ts";
import { CommandCounts } from "../support/redis-commands.ts";
import { freePort, startRedis, type TestRedis } from "../support/redis.ts";
import { startProxy } from "../support/tcp-proxy.ts";
import { startRedisCache } from "./redis-support.ts";

const slots = Array.from({ length: 16_384 }, (_, slot) => slot);

/** A node of a cluster, which has no slots and knows no other node. */
async function startNode(t: TestContext): Promise<TestRedis> {
  const busPort = String(await freePort());
  const args = ["--cluster-enabled", "yes", "--cluster-port", busPort, "--cluster-require-full-coverage", "no"];
  return startRedis(t, { args });
}

/** A provider on a node, and what it sends there. */
async function setup(t: TestContext, redis: TestRedis) {
  const commands = new CommandCounts();
  const proxy = await startProxy(t, redis, { hear: () => commands.reader() });
  // What it replies is the subject here, not when.
  const cache = startRedisCache({ url: `redis://127.0.0.1:${proxy.port}`, commandBudgetMs: 2_000 });
  t.after(() => cache.provider.close());
  await cache.until(true);
  return { ...cache, commands };
}

async function reasonOf(promise: Promise<unknown>): Promise<string> {
  return promise.then(
    () => "none",
    (error: unknown) => (error instanceof CacheStoreError ? error.reason : String(error)),
  );
}

/** A thousand calls send nothing, while PINGs with the refused key go on. */
async function showsNoProbing({ provider, commands }: Awaited<ReturnType<typeof setup>>): Promise<void> {
  const before = commands.snapshot();
  for (let call = 0; call < 1_000; call += 1) assert.equal(await reasonOf(provider.find(`k${call}`)), "not_ready");
  const since = await eventually(
    "it was asked for three times whether it is over",
    async () => commands.snapshot(before),
    ({ ping = 0 }) => ping >= 3,
  );
  assert.deepEqual(Object.keys(since).toSorted(), ["eval", "ping"]);
}

test("a node whose cluster is down (CLUSTERDOWN) is not used until its slots are served, whatever its PINGs say", async (t) => {
  const node = await startNode(t);
  const system = await setup(t, node);
  assert.equal(await reasonOf(system.provider.find("k")), "clusterdown");
  assert.equal((await system.provider.healthCheck()).reason, "Redis is not used: clusterdown");
  await showsNoProbing(system);
  assert.deepEqual(system.changes.slice(1), [{ serving: false, reason: "clusterdown" }]);
  await node.admin.cluster("ADDSLOTS", ...slots);
  await system.until(true);
  assert.equal(await system.provider.find("k"), undefined);
});

test("a node that sends us elsewhere (MOVED) is not used until the key is its own", async (t) => {
  const [node, other] = [await startNode(t), await startNode(t)];
  await other.admin.cluster("ADDSLOTS", ...slots);
  await node.admin.call("CLUSTER", "MEET", "127.0.0.1", String(other.port), await busPortOf(other));
  await eventually(
    "the node knows whose the slots are",
    () => node.admin.cluster("INFO"),
    (info) => info.includes("cluster_slots_ok:16384") && info.includes("cluster_state:ok"),
  );
  const system = await setup(t, node);
  assert.equal(await reasonOf(system.provider.find("k")), "moved");
  assert.equal((await system.provider.healthCheck()).reason, "Redis is not used: moved");
  await showsNoProbing(system);
  assert.deepEqual(
    system.lines.map(({ level, details }) => [level, details["reason"]]),
    [
      ["info", undefined],
      ["warn", "moved"],
    ],
  );
  const slot = await node.admin.cluster("KEYSLOT", "k");
  const id = await node.admin.cluster("MYID");
  for (const { admin } of [node, other]) await admin.cluster("SETSLOT", slot, "NODE", id);
  await system.until(true);
  assert.equal(await system.provider.find("k"), undefined);
});

test("a node with all slots is not used either: a value and its lease may be in different ones (CROSSSLOT)", async (t) => {
  const node = await startNode(t);
  await node.admin.cluster("ADDSLOTS", ...slots);
  await eventually(
    "the cluster works",
    () => node.admin.cluster("INFO"),
    (info) => info.includes("cluster_state:ok"),
  );
  const system = await setup(t, node);
  assert.equal(await system.provider.find("k"), undefined);
  const request = { token: "t", leaseMs: 1_000, knownBornMs: undefined, maxAgeMs: 1_000 };
  assert.equal(await reasonOf(system.provider.claim("k", request)), "crossslot");
  await showsNoProbing(system);
});

async function busPortOf(node: TestRedis): Promise<string> {
  const nodes = String(await node.admin.cluster("NODES"));
  const port = /@(\d+)/u.exec(nodes)?.[1];
  if (port === undefined) throw new Error(`no bus port in ${nodes}`);
  return port;
}
