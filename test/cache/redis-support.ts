import { RedisCacheProvider, type RedisCacheOptions } from "../../src/cache/providers/redis.ts";
import type { RedisChange } from "../../src/cache/providers/redis-link.ts";
import { type Clock, systemClock } from "../../src/runtime/clock.ts";
import { type LogLine, recordingLogger } from "./support.ts";

/** The provider of a test, and what it says about itself. */
export interface RedisCacheUnderTest {
  readonly provider: RedisCacheProvider;
  readonly changes: readonly RedisChange[];
  readonly lines: readonly LogLine[];
  /** Resolves when it serves, or does not, as asked; at once when it is so already. */
  readonly until: (serving: boolean) => Promise<void>;
}

/** Opens the provider and waits for nothing. */
export function startRedisCache({
  clock = systemClock,
  ...options
}: Partial<RedisCacheOptions> & { readonly url: string; readonly clock?: Clock }): RedisCacheUnderTest {
  const changes: RedisChange[] = [];
  const waiting = new Set<() => void>();
  const { logger, lines } = recordingLogger();
  const defaults = { database: 0, connectTimeoutMs: 5_000, commandBudgetMs: 25 };
  const provider = new RedisCacheProvider(
    { ...defaults, ...options },
    {
      clock,
      logger,
      onChange(change) {
        changes.push(change);
        for (const look of waiting) look();
      },
    },
  );
  const until = (serving: boolean): Promise<void> =>
    new Promise((resolve) => {
      const look = (): void => {
        if (changes.at(-1)?.serving !== serving) return;
        waiting.delete(look);
        resolve();
      };
      waiting.add(look);
      look();
    });
  return { provider, changes, lines, until };
}

/** Opens the provider and waits until it serves. */
export async function openRedisCache(
  options: Partial<RedisCacheOptions> & { readonly url: string },
): Promise<RedisCacheUnderTest> {
  const opened = startRedisCache(options);
  await opened.until(true);
  return opened;
}
