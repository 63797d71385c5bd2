import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { RedisCacheProvider } from "../../src/cache/providers/redis.ts";
import { RedisTime } from "../../src/cache/providers/redis-time.ts";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { startRedis } from "../support/redis.ts";

const { url, admin } = await startRedis({ after });
const provider = await openProvider();

async function openProvider(clock: Clock = systemClock): Promise<RedisCacheProvider> {
  // What is tested must not depend on how busy the machine is.
  const options = { url, database: 0, connectTimeoutMs: 5_000, commandBudgetMs: 5_000 };
  const { opened, serving } = await new Promise<{ opened: () => RedisCacheProvider; serving: boolean }>((resolve) => {
    const made = new RedisCacheProvider(options, {
      clock,
      logger: silentLogger,
      onChange: (change) => resolve({ opened: () => made, serving: change.serving }),
    });
  });
  assert.ok(serving);
  const redis = opened();
  after(() => redis.close());
  return redis;
}

async function callsOf(command: string): Promise<number> {
  const stats = await admin.info("commandstats");
  return Number(new RegExp(`cmdstat_${command}:calls=(\\d+)`, "u").exec(stats)?.[1] ?? 0);
}

async function fill(key: string, value: string): Promise<void> {
  const claim = await provider.claim(key, { token: key, leaseMs: 1_000, knownBornMs: undefined, maxAgeMs: 1_000 });
  assert.ok(claim.state === "granted");
  assert.ok(await provider.fill(key, key, { value, bornMs: claim.nowMs, keepMs: 60_000 }));
}

test("looks at the same time are one command, and each gets its own value", async () => {
  const keys = ["a", "b", "c", "d"];
  for (const key of keys) await fill(key, `value of ${key}`);
  const before = await callsOf("mget");
  const found = await Promise.all([...keys, "nothing"].map((key) => provider.find(key)));
  assert.deepEqual(
    found.map((kept) => kept?.value.toString()),
    [...keys.map((key) => `value of ${key}`), undefined],
  );
  assert.ok(found.every((kept) => kept === undefined || kept.ageMs >= 0));
  assert.equal((await callsOf("mget")) - before, 1);
});

test("looks for more keys than one command may ask for are several, and each gets its own value", async () => {
  const keys = Array.from({ length: 130 }, (_, index) => `many ${index}`);
  await Promise.all(keys.map((key) => fill(key, `value of ${key}`)));
  const before = await callsOf("mget");
  const found = await Promise.all(keys.map((key) => provider.find(key)));
  assert.deepEqual(
    found.map((kept) => kept?.value.toString()),
    keys.map((key) => `value of ${key}`),
  );
  assert.equal((await callsOf("mget")) - before, 3);
});

test("what is no text to redis is no value, and the looks beside it get theirs", async () => {
  await fill("whole", "value");
  await admin.lpush("list", "not a string");
  const [none, found] = await Promise.all([provider.find("list"), provider.find("whole")]);
  assert.equal(none, undefined);
  assert.equal(found?.value.toString(), "value");
  assert.equal((await provider.healthCheck()).healthy, true);
});

test("every byte of a text comes back, also one that redis sends in several pieces", async () => {
  for (const text of ["", "\n", "zwölf\u0000Töne", "🦊".repeat(100_000)]) {
    await fill(`text ${text.length}`, text);
    assert.equal((await provider.find(`text ${text.length}`))?.value.toString(), text);
  }
});

describe("redis' time", () => {
  const reply = (ms: number): string[] => [String(Math.floor(ms / 1_000)), String((ms % 1_000) * 1_000)];

  test("has to be asked for at first, and after 100 ms, and behind another connection", () => {
    const time = new RedisTime();
    assert.equal(time.at(0, 1), undefined);
    assert.equal(time.learn(reply(1_000_250), 5, 1), 1_000_250);
    assert.deepEqual(
      [5, 35.5, 105, 105.1].map((atMs) => time.at(atMs, 1)),
      [1_000_250, 1_000_280.5, 1_000_350, undefined],
    );
    assert.equal(time.at(6, 2), undefined);
  });

  test("counts from when it was sent, so that no age is too low", () => {
    const time = new RedisTime();
    // Sent at 0 and executed at 40: then redis showed 1,040, which is taken for what it showed at 0.
    time.learn(reply(1_040), 0, 1);
    assert.equal(time.at(60, 1), 1_100);
  });

  test("is that of the question that was sent last, whichever is answered last", () => {
    const time = new RedisTime();
    time.learn(reply(9_000), 50, 1);
    time.learn(reply(1_000), 0, 1);
    assert.equal(time.at(50, 1), 9_000);
    time.learn(reply(2_000), 10, 2);
    assert.equal(time.at(10, 2), 2_000);
  });

  test("is asked for once by many looks, and again when that was long ago", async () => {
    await fill("asked", "value");
    const { clock, advance } = movable();
    const cache = await openProvider(clock);
    const before = await callsOf("time");
    for (let look = 0; look < 20; look += 1) await cache.find("asked");
    assert.equal((await callsOf("time")) - before, 1);
    advance(101);
    for (let look = 0; look < 20; look += 1) await cache.find("asked");
    assert.equal((await callsOf("time")) - before, 2);
  });
});

/** The machine's clock, but the monotonic one moves only when told to. */
function movable(): { readonly clock: Clock; readonly advance: (ms: number) => void } {
  let nowMs = 1;
  return { clock: { ...systemClock, monotonicMs: () => nowMs }, advance: (ms) => void (nowMs += ms) };
}
