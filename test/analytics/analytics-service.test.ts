import assert from "node:assert/strict";
import { describe, test } from "node:test";

import { AnalyticsService } from "../../src/analytics/analytics-service.ts";
import { InvalidParameterError, type PerformanceParameters } from "../../src/analytics/parameters.ts";
import { openCaches } from "../../src/cache/caches.ts";
import { CacheKeys, type KeyParameters } from "../../src/cache/keys.ts";
import { silentLogger } from "../../src/runtime/logging.ts";
import { RecordingMetrics } from "../cache/support.ts";
import { ManualClock } from "../support/clock.ts";

/** Counts how often a key is made: once for each time that parameters are looked at. */
class CountingKeys extends CacheKeys {
  made = 0;

  override performance(hours: number, further?: KeyParameters, defaults?: KeyParameters): string {
    this.made += 1;
    return super.performance(hours, further, defaults);
  }
}

function system() {
  const clock = new ManualClock();
  const metrics = new RecordingMetrics();
  const memory = { entriesMax: 100, bytesMax: 10_000_000 };
  const caches = openCaches({ backend: "memory", chosen: false, memory, clock, logger: silentLogger, metrics });
  const asked: PerformanceParameters[] = [];
  const keys = new CountingKeys("test");
  const answer = async (parameters: PerformanceParameters) => {
    asked.push({ ...parameters });
    return { answer: { calculated_at: "now", hours: parameters.hours }, identitiesKnown: true };
  };
  const notAsked = () => Promise.reject(new Error("nobody asks for this here"));
  const others = { timeseries: notAsked, backlog: notAsked, step: notAsked, compare: notAsked };
  const service = new AnalyticsService({
    queries: { performance: answer, bottlenecks: answer, ...others },
    cache: caches.analytics,
    keys,
    clock,
    metrics,
    logger: silentLogger,
    computeTimeoutMs: 10_000,
    freshness: { ttlMs: 60_000 },
    onComputed: () => undefined,
  });
  // Of the default parameters, at the beginning.
  keys.made = 0;
  const hoursOf = async (parameters: PerformanceParameters): Promise<unknown> =>
    JSON.parse((await service.performance(parameters)).body.toString());
  return { service, keys, asked, hoursOf, metrics };
}

describe("the analytics service", () => {
  test("looks at frozen parameters once, and answers them from the cache all the same", async () => {
    const { service, keys, asked, metrics } = system();
    const parameters = Object.freeze({ hours: 7 });
    const answers = [];
    for (let count = 0; count < 3; count += 1) answers.push(await service.performance(parameters));
    assert.equal(keys.made, 1);
    assert.equal(asked.length, 1);
    assert.deepEqual(
      answers.map(({ status }) => status),
      ["miss", "hit", "hit"],
    );
    assert.deepEqual(metrics.requests, { "memory/analytics/miss": 1, "memory/analytics/hit": 2 });
  });

  test("shares one object as body between the hits of an answer", async () => {
    const { service } = system();
    const [first, second, third] = [
      await service.performance({ hours: 7 }),
      await service.performance({ hours: 7 }),
      await service.performance(Object.freeze({ hours: 7 })),
    ];
    assert.ok(first.body === second.body && second.body === third.body);
  });

  test("looks again at parameters that may have changed", async () => {
    const { hoursOf } = system();
    const parameters = { hours: 7 };
    assert.deepEqual(await hoursOf(parameters), { calculated_at: "now", hours: 7 });
    parameters.hours = 8;
    assert.deepEqual(await hoursOf(parameters), { calculated_at: "now", hours: 8 });
  });

  test("looks again at frozen parameters that are computed or inherited", async () => {
    const { hoursOf } = system();
    let hours = 7;
    const computed = Object.freeze({
      get hours() {
        return hours;
      },
    });
    const inherited = { hours: 1, namespace: "n" };
    // `hours` is there, inherited.
    const heir = Object.freeze(Object.create(inherited, { version: { value: "1" } })) as PerformanceParameters;
    assert.deepEqual(await hoursOf(computed), { calculated_at: "now", hours: 7 });
    assert.deepEqual(await hoursOf(heir), { calculated_at: "now", hours: 1 });
    hours = 8;
    inherited.hours = 2;
    assert.deepEqual(await hoursOf(computed), { calculated_at: "now", hours: 8 });
    assert.deepEqual(await hoursOf(heir), { calculated_at: "now", hours: 2 });
  });

  test("computes what was asked, though the caller changes its parameters at once", async () => {
    const { service, asked } = system();
    const parameters = { hours: 7 };
    const answer = service.performance(parameters);
    parameters.hours = 8;
    await answer;
    assert.deepEqual(
      asked.map(({ hours }) => hours),
      [7],
    );
  });

  test("rejects parameters out of range each time, frozen or not", async () => {
    const { service, asked } = system();
    const wrong = Object.freeze({ hours: -1 });
    for (const parameters of [wrong, wrong, { hours: 0.5 }]) {
      await assert.rejects(service.performance(parameters), InvalidParameterError);
    }
    assert.deepEqual(asked, []);
  });
});
