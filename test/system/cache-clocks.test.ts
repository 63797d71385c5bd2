import assert from "node:assert/strict";
import { test } from "node:test";
import { testDatabase } from "../support/database.ts";
import { onlyRow } from "../support/engine.ts";
import { eventually } from "../support/eventually.ts";
import { startRedis } from "../support/redis.ts";
import { type Server, startServer } from "./cache-servers.ts";

const fiveMinutesMs = 300_000;
const ttlSeconds = 2;
const staleSeconds = 1;

/** Shifts every clock of a process before anything of it runs. */
function shiftedBy(ms: number): readonly string[] {
  const program = `
    const RealDate = Date;
    globalThis.Date = class extends RealDate {
      constructor(...given) { if (given.length === 0) super(RealDate.now() + ${ms}); else super(...given); }
      static now() { return RealDate.now() + ${ms}; }
    };
    const monotonic = performance.now.bind(performance);
    performance.now = () => monotonic() + ${Math.abs(ms)};`;
  return ["--import", `data:text/javascript,${encodeURIComponent(program)}`];
}

interface Seen {
  readonly calculatedAt: string;
  /** What the answer says. */
  readonly ageSeconds: number;
  /** By the database's clock, when the request had not been sent yet: it was at least so old when it arrived. */
  readonly trueAgeMs: number;
}

test("servers whose clocks are five minutes apart share answers, tell their age truly and keep the bound", async (t) => {
  const { url: databaseUrl, db } = await testDatabase(t);
  const redis = await startRedis(t);
  const env = {
    TASKER_COMMON_CACHE_ANALYTICS_TTL_SECONDS: String(ttlSeconds),
    TASKER_COMMON_CACHE_STALE_WHILE_REVALIDATE_SECONDS: String(staleSeconds),
  };
  const servers = await Promise.all(
    [0, fiveMinutesMs, -fiveMinutesMs].map((ms) =>
      startServer(t, { databaseUrl, redisUrl: redis.url, env, nodeOptions: shiftedBy(ms) }),
    ),
  );
  await eventually(
    "all use redis",
    () => Promise.all(servers.map((server) => server.figures())),
    (all) => all.every(({ commands, since }) => since === undefined && commands >= 0),
  );
  const [shown = 0, ahead = 0, behind = 0] = servers.map(({ process }) => timeOf(process.logLines[0]));
  // Each began to use redis at about the same moment.
  assert.ok(ahead - shown > fiveMinutesMs / 2 && shown - behind > fiveMinutesMs / 2, "the clocks are not shifted");
  const ask = async ({ url }: Server): Promise<Seen> => {
    const { ms: nowMs } = await onlyRow<{ ms: number }>(
      db,
      "select extract(epoch from clock_timestamp())::float8 * 1000 as ms",
    );
    const response = await fetch(`${url}/v1/analytics/performance`);
    assert.equal(response.status, 200);
    const { calculated_at: calculatedAt } = (await response.json()) as { readonly calculated_at: string };
    const trueAgeMs = nowMs - Date.parse(calculatedAt);
    return { calculatedAt, trueAgeMs, ageSeconds: Number(response.headers.get("age")) };
  };
  const seen: Seen[][] = servers.map(() => []);
  await eventually(
    "all servers have sent three answers",
    async () => {
      const round = await Promise.all(servers.map(ask));
      for (const [index, one] of round.entries()) seen[index]?.push(one);
      return seen.map((of) => new Set(of.map(({ calculatedAt }) => calculatedAt)).size);
    },
    (sizes) => sizes.every((size) => size >= 4),
  );
  for (const { trueAgeMs, ageSeconds } of seen.flat()) {
    assert.ok(trueAgeMs <= (ttlSeconds + staleSeconds) * 1000, `an answer was ${trueAgeMs} ms old`);
    // In whole seconds, and counted from the beginning of the computation.
    assert.ok(ageSeconds >= Math.floor(trueAgeMs / 1000), `an answer of ${trueAgeMs} ms says ${ageSeconds} s`);
  }
  const [here = [], ...others] = seen.map((of) => new Set(of.map(({ calculatedAt }) => calculatedAt)));
  for (const other of others) {
    const shared = [...other].filter((calculatedAt) => [...here].includes(calculatedAt));
    assert.ok(shared.length >= 2, "the servers compute for themselves");
  }
});

/** When a line was written, by the clock of its process. */
function timeOf(line = "{}"): number {
  // As src/runtime/logging.ts writes it.
  const { time } = JSON.parse(line) as { readonly time?: string | number };
  return new Date(time ?? Number.NaN).getTime();
}
