import assert from "node:assert/strict";
import { test } from "node:test";
import { parseList, Token } from "structured-headers";

import { deferred } from "../support/deferred.ts";
import { connectionRefused } from "./faulty-database.ts";
import { type HttpSystem, httpSystem } from "./setup.ts";

const url = "/v1/analytics/performance";
const freshness = { ttlMs: 60_000, staleWhileRevalidateMs: 30_000, staleIfErrorMs: 3_600_000 };

/** The one member of `Cache-Status`, read as the structured field it is, with its parameters as plain values. */
async function statusOf({ server }: HttpSystem, path = url): Promise<Record<string, unknown>> {
  const answer = await server.inject(path);
  assert.equal(answer.statusCode, 200, answer.body);
  return membersOf(answer.headers["cache-status"]);
}

function membersOf(field: unknown): Record<string, unknown> {
  const [[name, parameters] = [], ...others] = parseList(String(field));
  assert.deepEqual([String(name), others], ["tasker", []]);
  return Object.fromEntries(
    [...(parameters ?? [])].map(([key, value]) => [key, value instanceof Token ? value.toString() : value]),
  );
}

test("each way an answer comes about has its own Cache-Status", async (t) => {
  const system = await httpSystem(t, {}, { freshness });
  const { clock, faults } = system;
  assert.deepEqual(await statusOf(system), { fwd: "uri-miss", stored: true, ttl: 60 });
  await clock.advance(7_000);
  assert.deepEqual(await statusOf(system), { hit: true, ttl: 53, detail: "memory" });

  // Stale, and the next one fails to be computed.
  await clock.advance(58_000);
  faults.error = connectionRefused();
  assert.deepEqual(await statusOf(system), { hit: true, ttl: -5, detail: "stale-while-revalidate" });

  // Too old, unless the source fails: who asks it goes forward, who meets the pause after its failure does not.
  await clock.advance(35_000);
  assert.deepEqual(await statusOf(system), { fwd: "stale", ttl: -40, detail: "stale-if-error" });
  assert.deepEqual(await statusOf(system), { hit: true, ttl: -40, detail: "stale-if-error" });

  faults.error = undefined;
  await clock.advance(10_000);
  assert.deepEqual(await statusOf(system), { fwd: "stale", stored: true, ttl: 60 });
});

test("callers that join a computation are collapsed, with an old answer or without one", async (t) => {
  const system = await httpSystem(t, {}, { freshness });
  const { clock, faults, server } = system;
  const together = async (): Promise<readonly Record<string, unknown>[]> => {
    const asked = deferred();
    const gate = deferred();
    faults.hold = () => {
      asked.resolve();
      return gate.promise;
    };
    const leader = server.inject(url);
    await asked.promise;
    const follower = server.inject(url);
    // Until the second request waits too.
    await clock.advance(0);
    await clock.advance(0);
    gate.resolve();
    faults.hold = () => Promise.resolve();
    return (await Promise.all([leader, follower])).map(({ headers }) => membersOf(headers["cache-status"]));
  };
  assert.deepEqual(await together(), [
    { fwd: "uri-miss", stored: true, ttl: 60 },
    { fwd: "uri-miss", stored: true, collapsed: true, ttl: 60 },
  ]);
  await clock.advance(100_000);
  assert.deepEqual(await together(), [
    { fwd: "stale", stored: true, ttl: 60 },
    { fwd: "stale", stored: true, collapsed: true, ttl: 60 },
  ]);
});

test("what is not kept is not called stored, and what is never kept goes around the cache", async (t) => {
  const system = await httpSystem(t);
  for (let time = 0; time < 2; time++) {
    assert.deepEqual(await statusOf(system, `${url}?namespace=nobody`), { fwd: "uri-miss" });
  }
  const uncached = await httpSystem(t, {}, { backend: "none" });
  for (let time = 0; time < 2; time++) assert.deepEqual(await statusOf(uncached), { fwd: "bypass" });
});

test("Cache-Control lets no client keep an answer longer than we would", async (t) => {
  const { server } = await httpSystem(t, {}, { freshness });
  const cacheControlOf = async (path: string): Promise<unknown> => (await server.inject(path)).headers["cache-control"];
  // 60 s and 3540 s are the hour that `staleIfErrorMs` allows.
  const whole = "private, max-age=60, stale-while-revalidate=30, stale-if-error=3540";
  assert.equal(await cacheControlOf(url), whole);
  assert.equal(await cacheControlOf(`${url}?hours=1`), "private, max-age=60");
});
