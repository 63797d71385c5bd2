import assert from "node:assert/strict";
import { eventually } from "../support/eventually.ts";
import type { Outage, Refusal } from "./cache-faults.ts";
import { type Figures, type LoadedFleet, otherPaths, paths, type Server, ttlMs } from "./cache-servers.ts";
import type { Load } from "./http-load-process.ts";

/** Requests that were answered while something held, and for how long it did. */
interface Period {
  readonly load: Load;
  readonly ttls: number;
}

/**
 * Loses redis under load and gets it back: no request fails, only calls in flight at the onset wait, no request asks redis while
 * it is away, each server computes for itself in bounds, and redis is used again by itself.
 */
export async function withstandOutage(fleet: LoadedFleet, outage: Outage): Promise<void> {
  const { servers, commands, load } = fleet;
  await usesRedis(fleet);
  assertNoFailure((await load.mark()).failed);
  const before = await figuresOf(servers);
  const logged = servers.map(({ process }) => process.logLines.length);

  await outage.strike(fleet);
  const lost = await eventually(
    `all servers went on without redis that is ${outage.name}`,
    () => figuresOf(servers),
    (all) => all.every((now, index) => isLost(now, before[index], outage)),
  );
  const sent = commands.snapshot();
  assertNoFailure((await load.mark()).failed);
  const away = await periodOf(fleet, (seen) => isRenewedByEach(seen, servers));
  const still = await eventually(
    "redis was probed three times",
    () => figuresOf(servers),
    (all) => all.every(({ probes }, index) => probes >= (lost[index]?.probes ?? 0) + 3 || isSilent(outage)),
  );

  assertNoFailure(away.load.failed);
  for (const [index, now] of still.entries()) {
    const was = before[index];
    assert.ok(was !== undefined);
    assert.ok(waitsIn(now) - waitsIn(was) <= 3 * paths.length, `${waitsIn(now) - waitsIn(was)} calls waited`);
    assert.equal(now.commands, lost[index]?.commands, "requests sent something to redis, which was known to be away");
    assert.ok(now.since !== undefined && now.outages === was.outages + outage.outages, JSON.stringify(now));
  }
  const probes = Object.keys(commands.snapshot(sent));
  assert.deepEqual(
    probes.filter((name) => !outage.probes.includes(name)),
    [],
    "sent while redis was away",
  );
  assertComputations(away, (path) => servers.map((_, index) => [...(away.load.answers[`${index} ${path}`] ?? [])]));

  await outage.mend(fleet);
  await eventually(
    `all servers use redis again that was ${outage.name}`,
    () => figuresOf(servers),
    (all) => all.every(({ since }) => since === undefined),
  );
  await usesRedis(fleet);
  assertNoFailure((await load.mark()).failed);
  const back = await periodOf(fleet, isRenewedByOne);
  assertNoFailure(back.load.failed);
  // Each server's memory may still hold what it computed for itself while redis was away, until that is not fresh any more.
  const byAll = (path: string): string[] => servers.flatMap((_, index) => back.load.answers[`${index} ${path}`] ?? []);
  assertComputations(back, (path) => [byAll(path)], servers.length);
  for (const [index, { process }] of servers.entries()) {
    const lines = linesOf(process.logLines.slice(logged[index]));
    const pair = ["Redis cannot be used", "The cache in redis is in use"];
    assert.deepEqual(lines, Array.from({ length: outage.outages }, () => pair).flat());
  }
}

/** Has redis refuse some commands under load: no request fails, reading goes on, and each server asks redis no oftener than it computes. */
export async function withstandRefusal(fleet: LoadedFleet, refusal: Refusal): Promise<void> {
  const { servers, commands, load } = fleet;
  await usesRedis(fleet);
  assertNoFailure((await load.mark()).failed);
  const before = await figuresOf(servers);
  const logged = servers.map(({ process }) => process.logLines.length);

  await refusal.strike(fleet);
  const refusals = (now: Figures | undefined): number => now?.errors[refusal.reason] ?? 0;
  await eventually(
    `each server met a redis that is ${refusal.name}`,
    () => figuresOf(servers),
    (all) => all.every((now, index) => refusals(now) > refusals(before[index])),
  );
  const sent = commands.snapshot();
  assertNoFailure((await load.mark()).failed);
  const period = await periodOf(fleet, (seen) => isRenewedByEach(seen, servers));
  const asked = Object.values(commands.snapshot(sent)).reduce((sum, count) => sum + count, 0);

  assertNoFailure(period.load.failed);
  assertComputations(period, (path) => servers.map((_, index) => [...(period.load.answers[`${index} ${path}`] ?? [])]));
  // A look (two commands), a claim, and a second look for a refresh; never one for each request.
  const asks = 6 * paths.length * servers.length * (2 * period.ttls + 2);
  assert.ok(asked <= asks, `${asked} commands for ${period.load.answered} requests`);
  for (const [index, now] of (await figuresOf(servers)).entries()) {
    assert.deepEqual([now.since, now.outages], [undefined, before[index]?.outages]);
    const lines = linesOf(servers[index]?.process.logLines.slice(logged[index]) ?? []);
    // One for all refusals within ten seconds.
    assert.ok(lines.length <= 1, lines.join("\n"));
  }

  await refusal.mend(fleet);
  await usesRedis(fleet);
  assertNoFailure((await load.mark()).failed);
}

function figuresOf(servers: readonly Server[]): Promise<Figures[]> {
  return Promise.all(servers.map((server) => server.figures()));
}

function isLost({ since, reason, outages }: Figures, before: Figures | undefined, outage: Outage): boolean {
  return since !== undefined && outage.reason.test(reason ?? "") && outages === (before?.outages ?? 0) + outage.outages;
}

/** Whether nothing answers so that the one PING that is owed may be all. */
function isSilent({ name }: Outage): boolean {
  return name.startsWith("killed") || name.startsWith("cut") || name.startsWith("stopped");
}

/** Calls that learned only from redis, or from its silence, that it cannot be used. */
function waitsIn({ errors }: Figures): number {
  return Object.entries(errors).reduce((sum, [reason, count]) => sum + (reason === "not_ready" ? 0 : count), 0);
}

/** Awaits that the fleet has written new answers to redis. */
async function usesRedis({ commands, redis }: LoadedFleet): Promise<void> {
  const before = commands.snapshot();
  await eventually(
    "all answers are shared by way of redis",
    async () => ({
      claims: commands.snapshot(before)["eval"] ?? 0,
      keys: await redis.admin.keys("tasker:analytics:*"),
    }),
    ({ claims, keys }) => claims >= 2 * paths.length && keys.some((key) => !key.endsWith(":lease")),
  );
}

/** Goes on until enough has been seen since the beginning. */
async function periodOf({ load }: LoadedFleet, isEnough: (seen: Load["answers"]) => boolean): Promise<Period> {
  const sum: Load = { answered: 0, failed: {}, answers: {} };
  const beganMs = performance.now();
  await eventually(
    "answers were renewed twice",
    async () => {
      const { answered, failed, answers } = await load.mark();
      sum.answered += answered;
      for (const [status, count] of Object.entries(failed)) sum.failed[status] = (sum.failed[status] ?? 0) + count;
      for (const [name, times] of Object.entries(answers)) {
        sum.answers[name] = [...new Set([...(sum.answers[name] ?? []), ...times])];
      }
      return sum.answers;
    },
    isEnough,
  );
  return { load: sum, ttls: (performance.now() - beganMs) / ttlMs };
}

function isRenewedByEach(seen: Load["answers"], servers: readonly Server[]): boolean {
  return servers.every((_, index) => paths.every((path) => (seen[`${index} ${path}`]?.length ?? 0) >= 3));
}

function isRenewedByOne(seen: Load["answers"]): boolean {
  return paths.every((path) => (seen[`0 ${path}`]?.length ?? 0) >= 3);
}

/** What each group of answers has of different computations: one in a time to live, those from before and the one that was begun. */
function assertComputations(
  { ttls }: Period,
  groupsOf: (path: string) => readonly (readonly string[])[],
  fromBefore = 1,
): void {
  for (const path of paths) {
    // The answers that everybody asks for are refreshed ahead of their end, the sooner the longer a busy machine takes for them.
    const max = (otherPaths.includes(path) ? ttls / 0.9 : 2 * ttls) + 1 + fromBefore;
    for (const times of groupsOf(path)) {
      const different = new Set(times).size;
      assert.ok(different <= max, `${path}: ${different} computations in ${ttls.toFixed(1)} times to live`);
    }
  }
}

function assertNoFailure(failed: Load["failed"]): void {
  assert.deepEqual(failed, {}, "requests that failed");
}

/** The beginnings of the messages of log lines, but for those that tell of a busy machine. */
function linesOf(logged: readonly string[]): string[] {
  // As src/runtime/logging.ts writes them.
  const messages = logged.map((line) => (JSON.parse(line) as { readonly msg: string }).msg);
  return messages.filter((message) => message !== "a request was slow").map((message) => message.split(";")[0] ?? "");
}
