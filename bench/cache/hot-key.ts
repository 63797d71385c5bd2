import { sleep, systemClock } from "../../src/runtime/clock.ts";
import { startRedis } from "../../test/support/redis.ts";
import { computations, startMembers } from "../../test/system/fleet-processes.ts";
import { sum } from "../support/statistics.ts";
import type { Scope } from "./scope.ts";

const aim = 1.3;

/** Several processes with five readers each on one key, for some times to live. */
export async function printHotKey(
  scope: Scope,
  { ttls, ttlMs, processes }: { readonly ttls: number; readonly ttlMs: number; readonly processes: number },
): Promise<void> {
  const { url } = await startRedis(scope);
  const freshness = { ttlMs, staleWhileRevalidateMs: ttlMs, staleIfErrorMs: 60_000 };
  const members = await startMembers(scope, processes, { url, freshness, computeMs: 20 });
  await Promise.all(members.map((member) => member.wave("hot", 1)));
  const before = computations(members);
  const beganMs = systemClock.monotonicMs();
  await Promise.all(members.map((member) => member.startLoad("hot", 5)));
  await sleep(systemClock, ttls * ttlMs);
  const waves = await Promise.all(members.map((member) => member.endLoad()));
  const passed = (systemClock.monotonicMs() - beganMs) / ttlMs;
  const perTtl = (computations(members) - before) / passed;
  const answered = sum(waves.map((wave) => wave.answered));
  const failed = sum(waves.map((wave) => wave.failed));
  console.log(
    `\none hot key in ${processes} processes over ${passed.toFixed(1)} times to live of ${ttlMs} ms: ` +
      `${perTtl.toFixed(2)} computations per time to live (aim: at most ${aim}, ${perTtl <= aim ? "met" : "missed"}), ` +
      `${answered} answers, ${failed} failures`,
  );
}
